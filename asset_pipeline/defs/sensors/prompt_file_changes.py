"""Detecting changes below the prompts folder with as few reads as possible.

Times and sizes first: 200 files are looked at in a few milliseconds. A file is read only when one
of the two moved, and counts as changed only when its bytes are others: a checkout or a copy that
touches all files changes none of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asset_pipeline.foreign.files import ForeignFileError, digest_file, files_below
from asset_pipeline.prompts.file_cache import is_settled, stamp_of

_VERSION = 1
_LONGEST = 64 * 1024**2  # nothing longer is read by anybody
_DIGITS = 16  # of a SHA-256: 64 bits tell apart what is written by hand


@dataclass(slots=True)
class Notes:
    """What the sensor remembers between two ticks, small enough for a cursor.

    Attributes:
        files: By name, each file's time, size and the beginning of its SHA-256: 70 bytes a file.
        unfinished: Whether bringing Dagster up to date was interrupted.
        look_again: When prompts that wait for a run are looked at again, in seconds since 1970;
            None when none waits.
    """

    files: dict[str, str] = field(default_factory=dict[str, str])
    unfinished: bool = False
    look_again: float | None = None

    @classmethod
    def read(cls, cursor: str | None) -> Notes:
        """Read a cursor; one of another version says nothing, and all is looked at anew."""
        try:
            written: dict[str, Any] = json.loads(cursor or "{}")
        except ValueError:
            return cls()
        if not isinstance(written, dict) or written.get("version") != _VERSION:  # pyright: ignore[reportUnnecessaryIsInstance] -- JSON may be anything
            return cls()
        return cls(written["files"], written["unfinished"], written["look_again"])

    def write(self) -> str:
        """Return the cursor."""
        return json.dumps(
            {
                "version": _VERSION,
                "files": self.files,
                "unfinished": self.unfinished,
                "look_again": self.look_again,
            },
            separators=(",", ":"),
        )


def survey(prompts_dir: Path, others: Mapping[str, Path], before: Notes) -> tuple[Notes, list[str]]:
    """Return notes as they stand now, and the names of the files that are new, changed or gone.

    Args:
        prompts_dir: Everything below it counts: collections, and the files that they refer to.
        others: More files that decide what the prompts are, by their names in the notes.
        before: The notes of the last look.
    """
    files: dict[str, str] = {}
    moved: list[str] = []
    for name, path in (*_below(prompts_dir), *others.items()):
        stamp = stamp_of(path)
        if stamp is None:
            continue
        # What was changed just now may change again without its stamp's moving: it is noted
        # without one, and read at the next tick.
        mark = f"{stamp[0]:x}.{stamp[1]:x}" if is_settled(stamp) else ""
        noted = before.files.get(name, ".")
        marked, _, digest = noted.rpartition(".")
        if not mark or marked != mark:
            found = _digest(path, path.parent if name in others else prompts_dir)
            if found != digest:
                moved.append(name)
            digest = found
        files[name] = f"{mark}.{digest}"
    moved.extend(before.files.keys() - files.keys())
    return Notes(files, before.unfinished, before.look_again), moved


def _below(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield all files that are not hidden: temporary ones of editors and of this project are."""
    for name in files_below(folder, []):
        yield name, folder / name


def _digest(path: Path, inside: Path) -> str:
    try:
        return digest_file(path, inside=inside, most=_LONGEST)[:_DIGITS]
    except (OSError, ForeignFileError):
        return ""  # read again by whoever loads it, who says what is wrong
