"""Writing files so that one that exists is complete, hashing them, keeping paths in their root."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import stat
from collections.abc import Generator
from pathlib import Path
from typing import BinaryIO

from asset_pipeline.errors import AssetPipelineError

# What holds prompts, costs or a provider's words is its owner's alone, whatever the umask.
_FILE, _FOLDER = 0o600, 0o700


class UnsafePathError(AssetPipelineError):
    """A path would leave the folder it must stay in."""


@contextlib.contextmanager
def atomic_path(target: Path, *, durable: bool = True, private: bool = False) -> Generator[Path]:
    """Yield a temporary path beside ``target`` that is synced and renamed onto it on success.

    On any error the temporary file is removed and ``target`` is left as it was. The name starts
    with a dot and ends in ``.tmp`` so that sweeps and listings know it for what it is.

    Args:
        target: The file to write.
        durable: Wait for the disk, so that a power cut leaves no empty file; not for caches
            that tell a damaged file when they read it.
        private: Make the file, and the folders that have to be made for it, its owner's alone.
    """
    if private:
        make_private_folder(target.parent)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
    try:
        yield temporary
        if private:
            temporary.chmod(_FILE)
        if durable:
            _sync(temporary)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_atomically(
    target: Path, content: bytes | str, *, durable: bool = True, private: bool = False
) -> None:
    """Write ``content`` (text as UTF-8) to ``target``, as :func:`atomic_path` does."""
    data = content.encode() if isinstance(content, str) else content
    with atomic_path(target, durable=durable, private=private) as temporary:
        temporary.write_bytes(data)


def make_private_folder(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for their owner alone.

    One that is there stays as it is: it may be a home folder, or ``/tmp``.
    """
    if folder.is_dir():
        return
    make_private_folder(folder.parent)
    with contextlib.suppress(FileExistsError):
        folder.mkdir()
        folder.chmod(_FOLDER)


def make_private_file(path: Path) -> None:
    """Make an empty file for its owner alone, or take a file of ours from everybody else."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, _FILE))
    if path.is_file():
        keep_private(path)


def open_private(path: Path) -> BinaryIO:
    """Open a file for writing, emptied, that its owner alone may read."""
    flags = os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, _FILE), "wb")


def keep_private(*paths: Path) -> None:
    """Take the rights of everybody else off files and folders of ours, where there are such.

    Links, what belongs to somebody else and folders that are shared by their very nature, with the
    sticky bit of ``/tmp``, stay as they are; so does what a file system without rights refuses.
    """
    for path in paths:
        with contextlib.suppress(OSError):
            status = path.lstat()
            kind, mode = stat.S_IFMT(status.st_mode), stat.S_IMODE(status.st_mode)
            is_shared = kind not in {stat.S_IFREG, stat.S_IFDIR} or mode & stat.S_ISVTX
            if status.st_uid == os.geteuid() and mode & 0o077 and not is_shared:
                path.chmod(mode & 0o700)


def resolve_inside(root: Path, relative: str) -> Path:
    """Resolve ``relative`` under ``root``, following links, and refuse to leave the root.

    Raises:
        UnsafePathError: The path is absolute, climbs with ``..``, or a link leads outside.
    """
    candidate = Path(relative)
    if candidate.is_absolute() or candidate.drive or ".." in candidate.parts or "\0" in relative:
        raise UnsafePathError(
            f"{relative!r} is not a path inside {root}.",
            hint="Give a relative path without '..'.",
        )
    # Not Path.resolve(): it raises at links that lead to themselves. Such are found no files later.
    resolved_root = Path(os.path.realpath(root))
    resolved = Path(os.path.realpath(resolved_root / candidate))
    if not resolved.is_relative_to(resolved_root):
        raise UnsafePathError(
            f"{relative!r} leads outside {root}.", hint="Links may not leave the folder."
        )
    return resolved


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content as 64 hex digits, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
