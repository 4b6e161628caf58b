"""Finding the clip that a file comes from: by what it is, by what it says, by what it shows."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.ledger.provenance import Fingerprint, KnownFile, ProvenanceBook
from asset_pipeline.ledger.provenance_schema import ProvenanceRole
from asset_pipeline.ledger.records import Clip
from asset_pipeline.media.bad_media import BadMediaError
from asset_pipeline.provenance import fingerprints
from asset_pipeline.provenance.containers.formats import container_of_file
from asset_pipeline.provenance.verification import FileReport
from asset_pipeline.stores.protocol import Store

_A_STEP = 64

PreviewOf = Callable[[str], bytes | None]
"""Gives the preview of a clip by its SHA-256, if there is one."""


class FoundBy(StrEnum):
    """How a clip was found."""

    SHA256 = "sha256"  # the very file is on record
    MARKS = "marks"  # the file names its original
    LIKENESS = "likeness"  # it looks or sounds the same


@dataclass(frozen=True, slots=True)
class FoundClip:
    """The clip that a file comes from.

    Attributes:
        role: What the file is to the clip, where the very file is on record.
        likeness: From 0 to 1, where it was found by what it shows.
    """

    by: FoundBy
    known: KnownFile
    role: ProvenanceRole | None = None
    likeness: float | None = None

    @property
    def clip(self) -> Clip:
        """The clip."""
        return self.known.clip


class ClipFinder:
    """Finds clips for files.

    Args:
        book: The ledger's account.
        open_store: Opens the store, for clips whose fingerprint was not worked out yet.
        preview_of: Gives previews, so that pictures need no store.
    """

    def __init__(
        self, book: ProvenanceBook, open_store: Callable[[], Store], preview_of: PreviewOf
    ) -> None:
        self._book = book
        self._open_store = open_store
        self._preview_of = preview_of

    def find(self, report: FileReport) -> FoundClip | None:
        """Return the clip that a file comes from; None where nothing is near enough."""
        for known in self._book.find(report.sha256):
            return FoundClip(FoundBy.SHA256, known, role=known.role)
        if report.clip_sha256:
            for known in self._book.clips_of_file(report.clip_sha256):
                return FoundClip(FoundBy.MARKS, known)
        return self._alike(report)

    def _alike(self, report: FileReport) -> FoundClip | None:
        container = container_of_file(report.path)
        if container is None:
            return None
        try:
            likeness = fingerprints.Likeness(report.path, container.kind)
        except (BadMediaError, OSError, ValueError):
            return None
        self._complete(container.kind)
        near = [
            (likeness.distance(each), each.clip_sha256)
            for each in self._book.fingerprints(
                container.kind, fingerprints.METHODS[container.kind]
            )
        ]
        if not near:
            return None
        distance, clip_sha256 = min(near)
        if distance > likeness.nearest_that_counts:
            return None
        for known in self._book.clips_of_file(clip_sha256):
            return FoundClip(FoundBy.LIKENESS, known, likeness=round(1 - distance, 3))
        return None

    def _complete(self, kind: Kind) -> None:
        """Work out the fingerprints that are not on record yet, and keep them."""
        missing = self._book.without_fingerprint(kind, fingerprints.METHODS[kind])
        for start in range(0, len(missing), _A_STEP):
            self._book.keep_fingerprints(self._made(missing[start : start + _A_STEP]))

    def _made(self, clips: Sequence[Clip]) -> list[Fingerprint]:
        found: list[Fingerprint] = []
        for clip in clips:
            # One that is damaged or away can't be compared, and keeps no other from it.
            with contextlib.suppress(AssetPipelineError, OSError, ValueError):
                found.append(self._fingerprint(clip))
        return found

    def _fingerprint(self, clip: Clip) -> Fingerprint:
        preview = self._preview_of(clip.sha256) if clip.kind is Kind.IMAGE else None
        if preview is not None:
            return fingerprints.of_picture(clip.sha256, preview)
        with tempfile.TemporaryDirectory(prefix="fingerprint-") as folder:
            path = Path(folder) / "original"
            self._open_store().get(clip.object_key, path)
            if clip.kind is Kind.IMAGE:
                return fingerprints.of_picture(clip.sha256, path.read_bytes())
            return fingerprints.of_sound(clip.sha256, path)
