"""WAV's own lengths: whether they can be believed, and what they should say.

A writer that can't seek back (a pipe, a streaming answer) leaves a stand-in where the length of the
sound belongs: 0xFFFFFFFF (ffmpeg, OpenAI), 0x7FFFFFFF and 0x7FFFF000 (SoX, eSpeak), 2,000,000,000,
0, or one of these less the header. Such a length means "to the end of the file".
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, BinaryIO

# The largest file that is fetched has 256 MiB, so that no true length comes near: all stand-ins
# that are not 0 lie above, those less a header too.
_LEAST_STAND_IN = 0x0FFF_0000

_FIRST_CHUNK = 12
_CHUNK_HEADER = 8
_RIFF_SIZE_AT = 4


@dataclass(frozen=True, slots=True)
class WavSound:
    """Where a WAV file's sound is.

    Attributes:
        start: Its first byte.
        announced: Its length in bytes as the header has it.
        available: Bytes from its start to the end of the file.
        block: Bytes of one sample of all channels.
        has_stand_in: Whether the announced length is none, but means "to the end of the file".
    """

    start: int
    announced: int
    available: int
    block: int
    has_stand_in: bool

    @property
    def is_complete(self) -> bool:
        """Whether the file holds all that was announced."""
        return self.has_stand_in or self.announced <= self.available


def find_sound(file: BinaryIO, size: int) -> WavSound | None:
    """Walk the RIFF chunks to the sound's; None when the file ends before it."""
    position, block = _FIRST_CHUNK, 1
    while position + _CHUNK_HEADER <= size:
        name, length = _unpack(file, position, "<4sI")
        start = position + _CHUNK_HEADER
        if name == b"data":
            available = size - start
            stands_in = length >= _LEAST_STAND_IN and length > available
            empty = length == 0 and available > 0 and not _is_chunks(file, start, size)
            return WavSound(start, length, available, max(1, block), stands_in or empty)
        if name == b"fmt " and start + 16 <= size:
            block = _unpack(file, start + 12, "<H")[0]
        position = start + length + length % 2
    return None


def mend_wav(file: BinaryIO, size: int) -> bool:
    """Write the true lengths over stand-ins; return whether there were any.

    Args:
        file: The file, opened for reading and writing.
        size: The file's length in bytes.
    """
    sound = find_sound(file, size)
    if sound is None or not sound.is_complete:
        return False
    (riff,) = _unpack(file, _RIFF_SIZE_AT, "<I")
    wrong_riff = riff + _CHUNK_HEADER != size and (riff == 0 or riff >= _LEAST_STAND_IN)
    if not sound.has_stand_in and not wrong_riff:
        return False
    if sound.has_stand_in:
        # A sample that was cut in its middle is left behind the sound.
        whole = sound.available - sound.available % sound.block
        _write(file, sound.start - 4, whole)
    _write(file, _RIFF_SIZE_AT, size - _CHUNK_HEADER)
    return True


def _is_chunks(file: BinaryIO, position: int, size: int) -> bool:
    """Tell whether the rest of a file is chunks to its very end: the sound before them is empty."""
    while position + _CHUNK_HEADER <= size:
        name, length = _unpack(file, position, "<4sI")
        if not name.isalnum() and not name.strip().isalnum():
            return False
        position += _CHUNK_HEADER + length + length % 2
    return size <= position <= size + 1


def _unpack(file: BinaryIO, position: int, layout: str) -> tuple[Any, ...]:
    file.seek(position)
    return struct.unpack(layout, file.read(struct.calcsize(layout)))


def _write(file: BinaryIO, position: int, number: int) -> None:
    file.seek(position)
    file.write(struct.pack("<I", number))
