"""Sweeping: the temporary files of processes that were killed are removed once they are old.

A living process writes its own files within minutes, so age alone tells them apart, and no other
process has to be asked. Only names that this project gives are touched.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
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


@dataclass(frozen=True, slots=True)
class Swept:
    """What was removed."""

    files: int
    bytes: int


def sweep(folders: Iterable[Path], now: datetime) -> Swept:
    """Remove leftovers older than an hour from these folders, not from the folders in them.

    A file that can't be removed stays: the next sweep tries again.
    """
    oldest_kept = now.timestamp() - _OLD_SECONDS
    sizes = [size for folder in folders for size in _sweep_folder(folder, oldest_kept)]
    return Swept(len(sizes), sum(sizes))


def swept_folders(settings: Settings, store: Store) -> Iterator[Path]:
    """Yield the folders in which processes of this project leave temporary files."""
    yield settings.scratch_dir
    yield settings.warehouse_path.parent
    yield settings.gallery_path.parent
    yield from _folders_in(settings.previews_dir)
    if isinstance(store, LocalStore):
        yield store.incoming


def _sweep_folder(folder: Path, oldest_kept: float) -> Iterator[int]:
    try:
        with os.scandir(folder) as entries:
            # By name first: a folder of previews has thousands of files and hardly a leftover.
            leftovers = [entry for entry in entries if _LEFTOVER.fullmatch(entry.name)]
    except OSError:
        return
    for entry in leftovers:
        try:
            status = entry.stat(follow_symlinks=False)
            if entry.is_file(follow_symlinks=False) and status.st_mtime < oldest_kept:
                Path(entry.path).unlink()
                yield status.st_size
        except OSError:
            continue


def _folders_in(folder: Path) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            found = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return
    yield from map(Path, found)
