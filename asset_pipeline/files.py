"""Writing files so that one that exists is complete, hashing them, keeping paths in their root."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from collections.abc import Generator
from pathlib import Path

from asset_pipeline.errors import AssetPipelineError


class UnsafePathError(AssetPipelineError):
    """A path would leave the folder it must stay in."""


@contextlib.contextmanager
def atomic_path(target: Path, *, durable: bool = True) -> Generator[Path]:
    """Yield a temporary path beside ``target`` that is synced and renamed onto it on success.

    On any error the temporary file is removed and ``target`` is left as it was. The name starts
    with a dot and ends in ``.tmp`` so that sweeps and listings know it for what it is.

    Args:
        target: The file to write.
        durable: Wait for the disk, so that a power cut leaves no empty file; not for caches
            that tell a damaged file when they read it.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
    try:
        yield temporary
        if durable:
            _sync(temporary)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_atomically(target: Path, content: bytes | str, *, durable: bool = True) -> None:
    """Write ``content`` (text as UTF-8) to ``target``, as :func:`atomic_path` does."""
    data = content.encode() if isinstance(content, str) else content
    with atomic_path(target, durable=durable) as temporary:
        temporary.write_bytes(data)


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
    resolved_root = root.resolve()
    resolved = (resolved_root / candidate).resolve()
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
