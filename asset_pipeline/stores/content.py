"""Moving bytes between files and a store, checked against their SHA-256 on the way."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from asset_pipeline.files import atomic_path
from asset_pipeline.stores.protocol import StoreConflictError, StoreError, sha256_in

BLOCK: Final = 1 << 20

# Up to here a file goes in one request: no session is opened that a dead process could leave open.
PART: Final = 8 << 20


def check_content_key(key: str, sha256: str) -> None:
    """Refuse a content key that names another SHA-256 than the content has.

    Raises:
        StoreError: It does.
    """
    if sha256_in(key) not in {None, sha256}:
        raise StoreError(f"The content key {key} names another SHA-256 than {sha256}.")


def checked_blocks(source: Path, sha256: str, block: int = PART) -> Iterator[bytes]:
    """Yield a file's content; the last block only after the SHA-256 was checked.

    Args:
        source: The file; an empty one is one empty block.
        sha256: What was verified before.
        block: Bytes a block.

    Raises:
        StoreError: It can't be read, or changed since it was hashed.
    """
    digest = hashlib.sha256()
    try:
        with source.open("rb") as file:
            # A read makes room for all that it asks for: no more than the file has.
            block = min(block, max(os.fstat(file.fileno()).st_size, 1))
            content = file.read(block)
            while True:
                digest.update(content)
                following = file.read(block)
                if not following:
                    break
                yield content
                content = following
    except OSError as error:
        raise StoreError(
            f"Could not read {source}: {error.strerror or error}.",
            hint="Is the data folder still there and readable?",
        ) from error
    if digest.hexdigest() != sha256:
        raise StoreError(
            f"{source} does not have the SHA-256 {sha256}; it changed since it was checked."
        )
    yield content


def write_whole(blocks: Iterator[bytes], target: Path) -> None:
    """Write blocks to a file, whole or not at all; an error before the first one leaves no trace.

    Raises:
        StoreError: The file can't be written.
    """
    first = next(blocks, b"")
    try:
        with atomic_path(target) as temporary, temporary.open("wb") as writing:
            writing.write(first)
            writing.writelines(blocks)
    except OSError as error:
        raise StoreError(
            f"Could not write {target}: {error.strerror or error}.",
            hint="Is there space on this disk, and may this user write there?",
        ) from error


def refuse_other_content(blocks: Iterable[bytes], sha256: str, uri: str) -> None:
    """Accept an existing object only if it has the content that is to be stored.

    All of it is read, because neither its name nor its metadata proves its content.

    Raises:
        StoreConflictError: It is another.
    """
    digest = hashlib.sha256()
    for block in blocks:
        digest.update(block)
    if digest.hexdigest() != sha256:
        raise StoreConflictError(
            f"{uri} exists with other content than the file to store.",
            hint="Objects are never overwritten: if it is damaged, move it away first.",
        )


def sliced(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield chunks of any size in blocks of a MiB at the most."""
    for chunk in chunks:
        for start in range(0, len(chunk), BLOCK):
            yield chunk[start : start + BLOCK]
