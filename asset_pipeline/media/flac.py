"""FLAC's announced length: 36 bits of its first block, 0 where the writer could not know it."""

from __future__ import annotations

from pathlib import Path

# "fLaC", the block's header, block and frame sizes: then rate, channels, depth and the length.
_AT = 18
_BYTES = 8
_LENGTH = (1 << 36) - 1
_STREAMINFO = b"fLaC\0"


def has_no_length(path: Path) -> bool:
    """Tell whether a FLAC file says that its length is not known, or a length that is none.

    libsndfile takes 0 for 9e18 samples.
    """
    with path.open("rb") as file:
        head = file.read(_AT + _BYTES)
    if len(head) < _AT + _BYTES or not _is_streaminfo(head):
        return False
    return int.from_bytes(head[_AT:]) & _LENGTH in {0, _LENGTH}


def write_length(path: Path, frames: int) -> None:
    """Write how many samples a channel has."""
    with path.open("r+b") as file:
        file.seek(_AT)
        fields = int.from_bytes(file.read(_BYTES))
        file.seek(_AT)
        file.write((fields & ~_LENGTH | frames & _LENGTH).to_bytes(_BYTES))


def _is_streaminfo(head: bytes) -> bool:
    # The highest bit of a block's type marks the last block before the sound.
    return bytes([*head[:4], head[4] & 0x7F]) == _STREAMINFO
