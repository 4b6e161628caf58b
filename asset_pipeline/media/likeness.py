"""Near-duplicate pictures, found by a difference hash of their brightness."""

from __future__ import annotations

import io

from PIL import Image

_SIDE = 8

BITS = 2 * _SIDE * _SIDE

# Levels of 255 by which a point must be brighter to count as so: in a plain sky the encoder's
# noise decides otherwise, and the same picture in two files differs by 6 bits where it is 3 so.
_DEAD_ZONE = 2


def dhash(picture: bytes) -> int:
    """Return the 128-bit difference hash of an encoded picture.

    A bit says whether a point is brighter than its neighbour, on a grid of nine by eight along the
    rows and of eight by nine down the columns. It survives other sizes, formats and qualities, and
    changes with what the picture shows.

    Args:
        picture: Any format that Pillow reads; a preview will do.
    """
    with Image.open(io.BytesIO(picture)) as image:
        grey = image.convert("L")
    bits = 0
    for turned in (grey, grey.transpose(Image.Transpose.TRANSPOSE)):
        levels = turned.resize((_SIDE + 1, _SIDE), Image.Resampling.BOX).tobytes()
        for place, level in enumerate(levels):
            if place % (_SIDE + 1):
                bits = bits << 1 | (level > levels[place - 1] + _DEAD_ZONE)
    return bits


def distance(first: int, second: int) -> int:
    """Return the number of bits in which two hashes differ."""
    return (first ^ second).bit_count()
