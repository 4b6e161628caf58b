"""A ledger and a folder with real files in it: what the tests of keeping clips work on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.catalog.reader import load_catalog
from asset_pipeline.clock import Clock
from asset_pipeline.custody.fsck import Fsck
from asset_pipeline.custody.repairs import Repairs
from asset_pipeline.generation.timeouts import Timeouts
from asset_pipeline.ledger.custody import CustodyRepository, HeldClip
from asset_pipeline.ledger.exports import ExportRepository
from asset_pipeline.ledger.fsck_passes import FsckRepository
from asset_pipeline.ledger.records import Clip, StoredFile
from asset_pipeline.providers.protocol import Provider
from asset_pipeline.stores.local import LocalStore
from asset_pipeline.stores.protocol import Store, clip_key
from asset_pipeline_tests.support.ledgers import Books


class Killed(BaseException):
    """The process ended here."""


def killed_at(name: str, turn: int = 1) -> Callable[[str], None]:
    """Return a checkpoint that kills at a name, the given time it comes by."""
    left = [turn]

    def checkpoint(reached: str) -> None:
        if reached == name:
            left[0] -= 1
            if not left[0]:
                raise Killed(name)

    return checkpoint


class NoProvider:
    """Opening it fails the test: nothing was to be asked."""

    def __call__(self) -> Provider:
        raise AssertionError("the provider was asked")


class Keep:
    """A ledger, a store and a clock of one test."""

    def __init__(self, url: SecretStr, folder: Path, clock: Clock) -> None:
        self.clock = clock
        self.folder = folder
        self.store = LocalStore(folder / "clips")
        self.books = Books(url, clock)
        engine = self.books.ledger.engine
        self.custody = CustodyRepository(engine, clock)
        self.exports = ExportRepository(engine, clock)
        self.checks = FsckRepository(engine, clock)

    def land(self, prompt_id: str, content: bytes = b"", **changes: Any) -> Clip:  # noqa: ANN401 -- any field
        """Store content and record it as the current clip of a prompt."""
        content = content or f"clip of {prompt_id} {changes}".encode()
        sha256 = hashlib.sha256(content).hexdigest()
        key = clip_key(Kind.IMAGE, sha256, "webp")
        source = self.folder / "source"
        source.write_bytes(content)
        stored = self.store.put(key, source, sha256=sha256, content_type="image/webp")
        file = StoredFile(key, stored.uri, sha256, len(content), "image/webp", 64, 32, None)
        generation = changes.pop("generation", sha256[:12])
        intent = self.books.completed(generation, prompt_id=prompt_id, **changes)
        return self.books.ledger.deliver(intent, file, [])

    def path(self, clip: Clip) -> Path:
        """The file of a clip."""
        return self.store.root / clip.object_key

    def held(self) -> dict[str, HeldClip]:
        """What counts as stored, by clip id."""
        return {clip.clip_id: clip for clip in self.custody.held()}

    def object_keys(self) -> list[str]:
        """What is in the store."""
        return [each.key for each in self.store.list("")]

    def fsck(self, store: Store | None = None, **changes: Any) -> Fsck:  # noqa: ANN401 -- any field
        """A check of the store that may not ask the provider."""
        repairs = Repairs(
            store or self.store,
            load_catalog(None),
            self.folder / "previews",
            self.folder / "scratch",
            self.clock,
            Timeouts(),
        )
        fields: dict[str, Any] = {
            "ledger": self.books.ledger,
            "repairs": repairs,
            "clock": self.clock,
            "run_id": "fsck",
            "actor": "test",
            "report": lambda _at, _total: None,
            "open_provider": NoProvider(),
        }
        return Fsck(**(fields | changes))


def ago(now: datetime, days: float) -> datetime:
    """A time some days before another."""
    return now - timedelta(days=days)
