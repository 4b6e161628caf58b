"""Detecting files that were cut: does a file reach its container's announced end?

Decoders forgive much: libsndfile reads half a WAV, Ogg or MP3 file without a word (a cut MP3 even
gets its full announced length, padded with silence), and Pillow draws a PNG that lost its last
chunk. So where a format says how long it is, that is compared with the bytes that are there.
WebP, JPEG and FLAC need no walk: their decoders refuse every cut (the tests try them all).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, BinaryIO

from asset_pipeline.media import formats
from asset_pipeline.media.formats import MediaFormat
from asset_pipeline.media.mpeg import mp3_is_complete
from asset_pipeline.media.wav import find_sound

_OGG_END_OF_STREAM = 0x04


def is_complete(file: BinaryIO, media_format: MediaFormat, size: int) -> bool:
    """Tell whether a file holds all that its container announces.

    True also where the format cannot tell; each walker says when that is.

    Args:
        file: The file, opened for reading, at any position.
        media_format: What the file is.
        size: The file's length in bytes.
    """
    walk = _WALKS.get(media_format)
    return walk is None or walk(file, size)


def _png_is_complete(file: BinaryIO, size: int) -> bool:
    """Walk the chunks to the end of IEND; bytes after it are ignored."""
    position = 8
    while position + 12 <= size:
        length, name = _unpack(file, position, ">I4s")
        position += 12 + length
        if name == b"IEND":
            return position <= size
    return False


def _wav_is_complete(file: BinaryIO, size: int) -> bool:
    """Compare the length of the sound with the file's.

    With a stand-in for a length a cut cannot be known. A cut in a chunk behind the sound (tags)
    loses no sound and is let pass.
    """
    sound = find_sound(file, size)
    return sound is not None and sound.is_complete


def _ogg_is_complete(file: BinaryIO, size: int) -> bool:
    """Walk the pages; each must be whole and the last must carry the end-of-stream flag."""
    position, flags = 0, 0
    while position < size:
        if position + 27 > size:
            return False
        magic, flags, segments = _unpack(file, position, "<4sxB20xB")
        lengths = file.read(segments)
        position += 27 + segments + sum(lengths)
        if magic != b"OggS" or len(lengths) < segments or position > size:
            return False
    return bool(flags & _OGG_END_OF_STREAM)


def _unpack(file: BinaryIO, position: int, layout: str) -> tuple[Any, ...]:
    file.seek(position)
    return struct.unpack(layout, file.read(struct.calcsize(layout)))


_WALKS: dict[MediaFormat, Callable[[BinaryIO, int], bool]] = {
    formats.PNG: _png_is_complete,
    formats.WAV: _wav_is_complete,
    formats.MP3: mp3_is_complete,
    formats.VORBIS: _ogg_is_complete,
    formats.OPUS: _ogg_is_complete,
}
