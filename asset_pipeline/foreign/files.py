"""Files that somebody else put there: none holds, floods or misleads whoever opens it.

A name may stand for a pipe that nobody writes to, a device, a terabyte of nothing, or a link to a
file that is nobody's business here. So only a regular file inside its folder is opened, without
waiting, and no more of it is read than somebody asked for.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Final

from asset_pipeline.errors import AssetPipelineError

# A pipe is not waited for, no terminal becomes ours, and a link that was put there since the look
# is not followed.
_FLAGS: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY | os.O_NOFOLLOW
_BLOCK: Final = 1024 * 1024

_KINDS: Final = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}

DEEPEST_FOLDER: Final = 40
"""Folders in folders that are looked into: Python's walk ends a process at a thousand."""


class ForeignFileError(AssetPipelineError):
    """A file is not what may be read here; the message says what "it" is, and names no file."""


def read_file(path: Path, *, inside: Path | None, most: int) -> bytes:
    """Return a file's content.

    Args:
        path: The file.
        inside: The folder that it must lie in once links are followed; None where a person named
            the file itself.
        most: The longest that is read, in bytes.

    Raises:
        ForeignFileError: It is no regular file, longer, or outside of the folder.
        OSError: It can't be read.
    """
    return b"".join(_blocks(path, inside, most))


def digest_file(path: Path, *, inside: Path | None, most: int) -> str:
    """Return the SHA-256 of a file's content as 64 hex digits; see :func:`read_file`.

    Raises:
        ForeignFileError: It is no regular file, longer, or outside of the folder.
        OSError: It can't be read.
    """
    digest = hashlib.sha256()
    for block in _blocks(path, inside, most):
        digest.update(block)
    return digest.hexdigest()


def files_below(folder: Path, failed: list[OSError]) -> Iterator[str]:
    """Yield the files of a folder and those below it, sorted by folder, named relative to it.

    What is hidden is passed over, and so are links to folders.

    Args:
        folder: The folder.
        failed: Gets an error for each folder that can't be looked into.
    """
    for parent, subfolders, names in os.walk(folder, onerror=failed.append):
        inside = os.path.relpath(parent, folder)
        depth = 0 if inside == "." else inside.count(os.sep) + 1
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        if depth >= DEEPEST_FOLDER and subfolders:
            subfolders.clear()
            failed.append(OSError(0, f"it is {DEEPEST_FOLDER} folders deep", parent))
        for name in sorted(names):
            if not name.startswith("."):
                yield name if depth == 0 else f"{inside}/{name}"


def _blocks(path: Path, inside: Path | None, most: int) -> Iterator[bytes]:
    with _opened(path, inside, most) as descriptor:
        left = most
        # One byte more than allowed: a file may grow while it is read, or hide its length.
        while block := os.read(descriptor, min(_BLOCK, left + 1)):
            left -= len(block)
            if left < 0:
                raise _too_long(most)
            yield block


@contextlib.contextmanager
def _opened(path: Path, inside: Path | None, most: int) -> Generator[int]:
    real = _resolved(path, inside)
    # Looked at first, because opening is enough to make some devices act.
    _check(real.stat(), most)
    descriptor = os.open(real, _FLAGS)
    try:
        _check(os.fstat(descriptor), most)
        yield descriptor
    finally:
        os.close(descriptor)


def _resolved(path: Path, inside: Path | None) -> Path:
    try:
        real = Path(os.path.realpath(path))
        root = None if inside is None else os.path.realpath(inside)
    except ValueError:
        raise ForeignFileError("its name is none that a file can have.") from None
    if root is not None and not real.is_relative_to(root):
        raise ForeignFileError(
            "it leads out of its folder.", hint="Put the file itself there, not a link."
        )
    return real


def _check(status: os.stat_result, most: int) -> None:
    kind = stat.S_IFMT(status.st_mode)
    if kind != stat.S_IFREG:
        what = _KINDS.get(kind, "something else")
        raise ForeignFileError(f"it is {what}, where a file is needed.", hint="Put a file there.")
    if status.st_size > most:
        raise _too_long(most)


def _too_long(most: int) -> ForeignFileError:
    return ForeignFileError(
        f"it is longer than the {_size(most)} that are read.", hint="Make it smaller, or split it."
    )


def _size(number: int) -> str:
    return f"{number / 1024**2:,.0f} MiB"
