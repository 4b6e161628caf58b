"""A cache of parsed prompt files, dropped when a file, a model or a price changes.

Reading 100,000 prompts takes five seconds, and a code server that lives for days is asked for them
by each tick. A file whose time and size stand still is not read again.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TypeAlias

from asset_pipeline.catalog.reader import Catalog
from asset_pipeline.prompts.collection import Contents

# A file that is written twice within one beat of the clock that stamps files, to the same size,
# looks the same: what was changed just now is not taken on its stamp's word.
_SETTLED_NS = 2_000_000_000

Stamp: TypeAlias = tuple[int, int, int]
"""A file's time of change in nanoseconds, its size and its number on the disk."""


@dataclass(frozen=True, slots=True)
class _Kept:
    stamp: Stamp
    contents: Contents
    references: tuple[tuple[str, Stamp | None], ...]


@dataclass(slots=True)
class KeptFiles:
    """The contents of the collection files of one folder, under one catalog."""

    _folder: Path | None = None
    _catalog: Catalog | None = None
    _priced: frozenset[str] = frozenset()
    _files: dict[str, _Kept] = field(default_factory=dict[str, _Kept])

    def of(self, folder: Path, catalog: Catalog, day: date) -> KeptFiles:
        """Return this cache, emptied if the folder, the models or their priced set changed."""
        priced = frozenset(
            name for name, model in catalog.models.items() if model.price_on(day) is not None
        )
        if (folder, priced) != (self._folder, self._priced) or catalog != self._catalog:
            self._files.clear()
            self._folder, self._catalog, self._priced = folder, catalog, priced
        return self

    def get(self, name: str) -> Contents | None:
        """Return what a file held when it was read last; None when it has to be read again."""
        kept = self._files.get(name)
        if kept is None or kept.stamp != self.stamp(name):
            return None
        if any(self.stamp(reference) != stamp for reference, stamp in kept.references):
            return None
        return kept.contents

    def stamp(self, name: str) -> Stamp | None:
        """Return a file's stamp, to be taken before it is read; None when there is no such file."""
        if self._folder is None:
            return None
        return stamp_of(self._folder / name)

    def keep(self, name: str, stamp: Stamp | None, contents: Contents) -> None:
        """Keep a file's contents, unless it changed a moment ago.

        A file with problems is read anew: one may be a reference file that is missing.
        """
        references = {prompt.reference for prompt in contents.prompts.values()} - {None}
        stamps = tuple((str(name), self.stamp(str(name))) for name in references)
        if stamp is None or contents.problems or not all(map(is_settled, (stamp, *_known(stamps)))):
            self._files.pop(name, None)
            return
        self._files[name] = _Kept(stamp, contents, stamps)


def stamp_of(path: Path) -> Stamp | None:
    """Return a file's stamp; None when there is no such file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def is_settled(stamp: Stamp) -> bool:
    """Tell whether a stamp is old enough for a later change to show in it."""
    return time.time_ns() - stamp[0] > _SETTLED_NS


def _known(references: tuple[tuple[str, Stamp | None], ...]) -> list[Stamp]:
    return [stamp for _, stamp in references if stamp is not None]
