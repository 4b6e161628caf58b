"""Copying current clips to where people want them, under names that people can read.

An export goes on where a killed one was, and a second one writes only what has changed. Only a file
that is still what this ledger wrote is replaced: what something else put there, and what a person
has worked on since, stays.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from asset_pipeline.catalog.reader import Catalog
from asset_pipeline.clock import Clock
from asset_pipeline.custody.export_names import CHECKSUMS, NamedClip
from asset_pipeline.custody.export_targets import ExportError, Target
from asset_pipeline.custody.links import SignedLink, link_to, signs_links
from asset_pipeline.custody.manifest import write_manifest
from asset_pipeline.custody.scratch import scratch_file
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.files import sha256_of
from asset_pipeline.ledger.custody import CustodyRepository
from asset_pipeline.ledger.exports import Exported, ExportLine, ExportRepository
from asset_pipeline.stores.protocol import (
    LONGEST_LINK,
    Store,
    StoreError,
    StoreUnavailableError,
)

_COPIERS = 8

# The SHA-256 of an empty list of checksums.
_NOTHING_LISTED = hashlib.sha256().hexdigest()
_LOOKED_AT = 100
_A_STEP = 64


class Copied(StrEnum):
    """What became of one clip of an export."""

    COPIED = "copied"
    UNCHANGED = "unchanged"
    KEPT = "kept"  # somebody changed the exported file; there is no newer clip
    REFUSED = "refused"  # another file has its name, or a changed one that has to make way
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ExportResult:
    """One clip of an export, and why it is not there if it is not."""

    named: NamedClip
    uri: str
    result: Copied
    reason: str = ""

    @property
    def is_there(self) -> bool:
        """Whether the target has the clip now, if only as somebody has changed it."""
        return self.result in {Copied.COPIED, Copied.UNCHANGED, Copied.KEPT}


@dataclass(frozen=True, slots=True)
class Exporter:
    """Exports on behalf of one command or run.

    Attributes:
        store: Where the clips are.
        target: Where they go.
        engine_book: The ledger's record of exports.
        custody: Its record of when clips were last used.
        scratch: A folder for copies on their way.
        run_id: Named in the lineage of what is written.
        checkpoint: Called with a name between two steps; crash tests kill there.
    """

    store: Store
    target: Target
    book: ExportRepository
    custody: CustodyRepository
    catalog: Catalog
    scratch: Path
    clock: Clock
    run_id: str
    checkpoint: Callable[[str], None] = lambda _: None

    def export(
        self, clips: Sequence[NamedClip], report: Callable[[ExportResult], None]
    ) -> list[ExportResult]:
        """Copy clips, and write the manifest of all that the target has.

        Args:
            clips: The clips under their names.
            report: Told of each clip.

        Returns:
            What became of each. One that fails stops no other.

        Raises:
            ExportError: The target holds the export of another ledger; nothing was written.
        """
        ours = self.book.paths(self.target.name)
        if not ours:
            self._refuse_foreign(clips)
        results: list[ExportResult] = []
        with ThreadPoolExecutor(_COPIERS, "export") as copiers:
            for chunk in _chunks(clips):
                done = list(copiers.map(self._copy, chunk, itertools.repeat(ours)))
                self._record(done)
                for each in done:
                    report(each)
                results += done
                self.checkpoint("copied")
        self.write_manifest()
        return results

    def _refuse_foreign(self, clips: Sequence[NamedClip]) -> None:
        """Keep the manifest of another ledger, such as the sandbox's, from being replaced.

        A folder of our own that was moved holds clips of ours, and one that got none lists none.
        """
        listed = self.target.digest(CHECKSUMS)
        if listed in {None, _NOTHING_LISTED} or any(
            self.target.digest(named.path) == named.clip.sha256 for named in clips[:_LOOKED_AT]
        ):
            return
        raise ExportError(
            f"{self.target.name} holds the export of another ledger.",
            hint="Export to a folder of its own: real work and what the sandbox made stay apart.",
        )

    def write_manifest(self) -> None:
        """Write the manifest of all that was exported to the target and is there.

        Two exports to one target may end at once: whoever writes last has seen all rows.
        """
        while True:
            lines = self.book.lines(self.target.name)
            there = self.target.present([line.path for line in lines])
            gone = [line.path for line in lines if line.path not in there]
            self.book.forget(self.target.name, gone)
            kept = [line for line in lines if line.path in there]
            write_manifest(self.target, kept, self.catalog, self._link_of)
            now = self.book.paths(self.target.name)
            if now == {line.path: line.clip.sha256 for line in kept}:
                return

    def _copy(self, named: NamedClip, ours: Mapping[str, str]) -> ExportResult:
        clip, path = named.clip, named.path
        uri = ""
        try:
            uri = self.target.uri(path)
            found = self.target.digest(path)
            if found == clip.sha256:
                return ExportResult(named, uri, Copied.UNCHANGED)
            if found is not None and found != ours.get(path):
                return _kept(named, uri, ours.get(path))
            with scratch_file(self.scratch) as copy:
                self.store.get(clip.object_key, copy)
                if sha256_of(copy) != clip.sha256:
                    why = "the stored file is damaged: run `asset-pipeline fsck`"
                    return ExportResult(named, uri, Copied.FAILED, why)
                self.target.write(path, copy, sha256=clip.sha256, content_type=clip.mime)
        except StoreUnavailableError:
            raise
        except (AssetPipelineError, OSError) as error:
            return ExportResult(named, uri, Copied.FAILED, str(error))
        return ExportResult(named, uri, Copied.COPIED)

    def _record(self, done: Sequence[ExportResult]) -> None:
        there = [
            Exported(each.named.path, each.uri, each.named.clip)
            for each in done
            if each.result in {Copied.COPIED, Copied.UNCHANGED}
        ]
        self.book.record(self.target.name, there, run_id=self.run_id)
        self.custody.touch(each.clip.clip_id for each in there)

    def _link_of(self, line: ExportLine) -> SignedLink | None:
        """Link to the exported file where the target signs links, else to the stored one.

        Without a key to sign with there is no link, and the export is as good as before.
        """
        try:
            return self._signed(line, self.clock.now())
        except StoreError:
            return None

    def _signed(self, line: ExportLine, now: datetime) -> SignedLink | None:
        if self.target.bucket is not None:
            url = self.target.bucket.signed_url(line.path, content_type=line.clip.mime)
            return SignedLink(url, (now + LONGEST_LINK).replace(microsecond=0))
        if line.clip.removed_at is not None or not signs_links(self.store):
            return None
        return link_to(self.store, line.clip, now)


def _kept(named: NamedClip, uri: str, written: str | None) -> ExportResult:
    """Return what becomes of a clip whose place holds other content than this ledger wrote."""
    if written is None:
        why = "a file that this ledger did not export has this name"
        return ExportResult(named, uri, Copied.REFUSED, why)
    if written == named.clip.sha256:
        why = "the file was changed since it was exported, and is kept as it is"
        return ExportResult(named, uri, Copied.KEPT, why)
    why = (
        "there is a newer clip, but the file was changed since it was exported, and is kept: move "
        "or rename it, and export again"
    )
    return ExportResult(named, uri, Copied.REFUSED, why)


def _chunks(clips: Sequence[NamedClip]) -> Iterator[Sequence[NamedClip]]:
    for start in range(0, len(clips), _A_STEP):
        yield clips[start : start + _A_STEP]
