"""Inspecting a clip's file once, for several checks.

The file is streamed from the store once, hashed on the way, and decoded once.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import combinations
from pathlib import Path

from asset_pipeline.catalog.reader import Catalog
from asset_pipeline.chunks import chunks
from asset_pipeline.defs.checks.expectations import cost_objection, size_objection
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.ledger.clip_inspection import AskedClip, ClipInspection
from asset_pipeline.ledger.records import Clip
from asset_pipeline.media.bad_media import BadMediaError, BadMediaReason
from asset_pipeline.media.likeness import BITS, dhash, distance
from asset_pipeline.media.preview_cache import PreviewCache
from asset_pipeline.media.probe import examine
from asset_pipeline.stores.protocol import Store

# Variants of one prompt that differ in at most so many bits show the same picture: a picture in
# another quality, format or size is 4 away at the most, and 56 of 60 pairs of the sandbox's
# variants are 7 to 60 (docs/renditions.md has the measurement).
NEAR = 4

_CHUNK = 64
# What is named in an evaluation's metadata; the rest is counted.
_KEPT = 500
_NOTHING_SEEN = {BadMediaReason.BLANK, BadMediaReason.SILENT}


class CheckName(StrEnum):
    """The checks that one pass feeds."""

    WHOLE = "stored_files_are_whole"
    DECODES = "clips_decode"
    SHOWS = "clips_show_or_sound"
    SIZE = "size_is_as_asked"
    COST = "cost_is_in_band"
    DIFFER = "variants_differ"


@dataclass(frozen=True, slots=True)
class ClipFlaw:
    """Something wrong with a clip."""

    check: CheckName
    clip: Clip
    what: str

    def __str__(self) -> str:
        return f"{self.clip.prompt_id}, variant {self.clip.variant}: {self.what}"


@dataclass(slots=True)
class Inspection:
    """What a pass found: all flaws counted, the first of each check kept."""

    clips: int = 0
    counts: Counter[CheckName] = field(default_factory=Counter[CheckName])
    flaws: list[ClipFlaw] = field(default_factory=list[ClipFlaw])

    def add(self, found: Iterable[ClipFlaw]) -> None:
        """Take more flaws in."""
        for flaw in found:
            self.counts[flaw.check] += 1
            if self.counts[flaw.check] <= _KEPT:
                self.flaws.append(flaw)

    def of(self, check: CheckName) -> list[ClipFlaw]:
        """Return the flaws of one check that were kept."""
        return [flaw for flaw in self.flaws if flaw.check is check]


class Inspector:
    """Inspects clips, several at a time.

    Args:
        store: Where the files are; only the protocol is used.
        catalog: What models give and cost.
        shelf: Previews, which near-duplicates are told by.
        workers: Files decoded at once, which bounds memory.
    """

    def __init__(self, store: Store, catalog: Catalog, shelf: PreviewCache, workers: int) -> None:
        self._store = store
        self._catalog = catalog
        self._shelf = shelf
        self._workers = workers

    def inspect(self, due: Sequence[AskedClip], ledger: ClipInspection) -> Inspection:
        """Look at clips; a file that several of them share is read once."""
        inspection = Inspection()
        with ThreadPoolExecutor(self._workers, "inspect") as executor:
            for chunk in chunks(due, _CHUNK):
                files = {asked.clip.object_key: asked.clip for asked in chunk}
                looked = dict(zip(files, executor.map(self._look, files.values()), strict=True))
                inspection.clips += len(chunk)
                for asked in chunk:
                    found = looked[asked.clip.object_key]
                    inspection.add(ClipFlaw(check, asked.clip, what) for check, what in found)
                    inspection.add(self._unexpected(asked))
                inspection.add(self._alike(chunk, ledger))
        return inspection

    def _look(self, clip: Clip) -> list[tuple[CheckName, str]]:
        """Read and decode a file; return what is wrong with it."""
        with tempfile.TemporaryDirectory(prefix="inspect-") as folder:
            path = Path(folder) / "clip"
            try:
                found = self._fetch(clip, path)
            except AssetPipelineError as error:
                return [(CheckName.WHOLE, error.message)]
            if found:
                return [(CheckName.WHOLE, found)]
            try:
                examined = examine(path, clip.kind)
            except BadMediaError as error:
                shows = error.reason in _NOTHING_SEEN
                return [(CheckName.SHOWS if shows else CheckName.DECODES, error.message)]
            self._shelf.make(path, examined)
            info = examined.info
        if (info.width, info.height) != (clip.width, clip.height):
            size = f"{info.width} x {info.height}, and {clip.width} x {clip.height} on record"
            return [(CheckName.SIZE, f"it is {size}")]
        return []

    def _fetch(self, clip: Clip, target: Path) -> str:
        digest, length = hashlib.sha256(), 0
        with target.open("wb") as file:
            for block in self._store.read(clip.object_key):
                digest.update(block)
                length += len(block)
                file.write(block)
        if (digest.hexdigest(), length) == (clip.sha256, clip.bytes):
            return ""
        return f"it is not the file paid for: {length:,} bytes with another SHA-256"

    def _unexpected(self, asked: AskedClip) -> Iterator[ClipFlaw]:
        if what := size_objection(asked, self._catalog):
            yield ClipFlaw(CheckName.SIZE, asked.clip, what)
        if what := cost_objection(asked, self._catalog):
            yield ClipFlaw(CheckName.COST, asked.clip, what)

    def _alike(self, chunk: Sequence[AskedClip], ledger: ClipInspection) -> Iterator[ClipFlaw]:
        """Compare the pictures of each prompt by their previews: no file is read for it."""
        kind = chunk[0].clip.kind
        new = {asked.clip.clip_id for asked in chunk}
        by_prompt: defaultdict[str, list[tuple[Clip, int]]] = defaultdict(list)
        siblings = ledger.variants_of(kind, {asked.clip.prompt_id for asked in chunk})
        several = Counter(clip.prompt_id for clip in siblings)
        for clip in siblings:
            preview = self._shelf.get(clip.sha256) if several[clip.prompt_id] > 1 else None
            if preview is not None and clip.width is not None:
                by_prompt[clip.prompt_id].append((clip, dhash(preview.webp)))
        for variants in by_prompt.values():
            for (first, one), (second, other) in combinations(variants, 2):
                bits = distance(one, other)
                if bits <= NEAR and new & {first.clip_id, second.clip_id}:
                    what = f"it shows the same as variant {first.variant} ({bits} of {BITS} bits)"
                    yield ClipFlaw(CheckName.DIFFER, second, what)
