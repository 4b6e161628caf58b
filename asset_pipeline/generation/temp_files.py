"""Removing old temporary files of killed processes.

A living process writes its own files within minutes, so age alone tells them apart, and no other
process has to be asked. A verified file of a clip that is paid for is another thing: it is kept
until the ledger says that nothing more will come of its intent. Only names that this project gives
are touched.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from asset_pipeline.settings import Settings
from asset_pipeline.stores.local import LocalStore
from asset_pipeline.stores.protocol import Store

# Six times the longest download that the provider's client waits for.
_OLD_SECONDS = 3600

# Of a download, of a file that is to be renamed into its place (with DuckDB's own log beside it),
# and of an object on its way into a local store.
_LEFTOVER = re.compile(
    r"[0-9a-f]{32,64}(\.preview)?\.part|\..+\.[0-9a-f]{12}\.tmp(\.wal)?|[0-9a-f]{16}\.tmp"
)


# The file of a clip that is verified and not recorded yet.
_VERIFIED = re.compile(r"(?P<intent>[0-9a-f]{32})\.clip")


@dataclass(frozen=True, slots=True)
class Swept:
    """What was removed."""

    files: int
    bytes: int


def sweep(folders: Iterable[Path], now: datetime, *, has_ended: Callable[[str], bool]) -> Swept:
    """Remove leftovers older than an hour from these folders, not from the folders in them.

    A file that can't be removed stays: the next sweep tries again.

    Args:
        folders: Where to look.
        now: The time.
        has_ended: Tells whether the ledger knows an intent and nothing more will come of it. One of
            another ledger may be open there.
    """
    oldest_kept = now.timestamp() - _OLD_SECONDS
    sizes = [size for folder in folders for size in _sweep_folder(folder, oldest_kept, has_ended)]
    return Swept(len(sizes), sum(sizes))


def swept_folders(settings: Settings, store: Store) -> Iterator[Path]:
    """Yield the folders in which processes of this project leave temporary files."""
    yield settings.scratch_dir
    yield settings.warehouse_path.parent
    yield settings.gallery_path.parent
    yield from _folders_in(settings.previews_dir)
    if isinstance(store, LocalStore):
        yield store.incoming


def _sweep_folder(
    folder: Path, oldest_kept: float, has_ended: Callable[[str], bool]
) -> Iterator[int]:
    try:
        with os.scandir(folder) as entries:
            # Compare names first: a previews folder has thousands of files and few leftovers.
            leftovers = [entry for entry in entries if _may_go(entry.name)]
    except OSError:
        return
    for entry in leftovers:
        try:
            status = entry.stat(follow_symlinks=False)
            if not entry.is_file(follow_symlinks=False) or status.st_mtime >= oldest_kept:
                continue
            verified = _VERIFIED.fullmatch(entry.name)
            if verified is None or has_ended(verified["intent"]):
                Path(entry.path).unlink()
                yield status.st_size
        except OSError:
            continue


def _may_go(name: str) -> bool:
    return bool(_LEFTOVER.fullmatch(name) or _VERIFIED.fullmatch(name))


def _folders_in(folder: Path) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            found = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return
    yield from map(Path, found)
