"""How often a JPEG picture is drawn over: each scan of a progressive one goes through all of it."""

from __future__ import annotations

import re
from pathlib import Path

MOST_SCANS = 500
"""As the library's own tests bound it; encoders write some ten.

Each goes through the whole picture, and a megabyte has room for 90,000: minutes of decoding.
"""

_START_OF_SCAN = b"\xff\xda"
_END = 0xD9
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}

# In a scan the byte FF is followed by 00, or by one of the eight marks that it may be resumed at.
_MARK = re.compile(rb"\xff+([\x01-\xcf\xd8-\xfe])")


def count_scans(path: Path) -> int:
    """Return how many scans a JPEG file has; up to the most allowed perhaps too many."""
    content = path.read_bytes()
    # Metadata, or what telephones append, hold the mark by chance: once in 65,536 bytes.
    seen = content.count(_START_OF_SCAN)
    return seen if seen <= MOST_SCANS else _walk(content)


def _walk(content: bytes) -> int:
    scans, position = 0, 2
    while (found := _MARK.search(content, position)) is not None:
        mark, position = found[1][0], found.end()
        if mark == _END or scans > MOST_SCANS:
            break
        scans += mark == _START_OF_SCAN[1]
        if mark not in _WITHOUT_LENGTH:
            position += int.from_bytes(content[position : position + 2])
    return scans
