"""MP3 frames, walked by their headers: the only way to see that an MP3 was cut.

An MP3 is a row of frames with no table of contents. Encoders that can seek write a Xing (or Info)
frame first, with the number of frames and bytes to come. With it, every cut is found. Without it,
a cut inside a frame is found and a cut exactly between two frames cannot be known by anyone.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

_BITRATES_MPEG1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_BITRATES_MPEG2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_MPEG1 = 3
_MONO = 3
_ID3_HEADER = 10
_HAS_FRAMES, _HAS_BYTES = 1, 2
# More bytes or frames than any file has: a placeholder of a writer that could not seek back.
_LEAST_STAND_IN = 0x7000_0000


@dataclass(frozen=True, slots=True)
class _Frame:
    length: int
    side_info: int


@dataclass(frozen=True, slots=True)
class _Announced:
    """What a Xing or Info frame says is to come; 0 where it says nothing."""

    frames: int
    bytes: int
    flags: int
    counts_at: int

    @property
    def has_stand_in(self) -> bool:
        """Whether its writer could not seek back to fill it in."""
        given = [
            count
            for count, flag in ((self.frames, _HAS_FRAMES), (self.bytes, _HAS_BYTES))
            if self.flags & flag
        ]
        return any(count == 0 or count >= _LEAST_STAND_IN for count in given)


@dataclass(frozen=True, slots=True)
class _Walked:
    """Where the frames start and end, how many there are, and what the first announces."""

    start: int
    end: int
    frames: int
    announced: _Announced | None


def mp3_is_complete(file: BinaryIO, size: int) -> bool:
    """Tell whether the frames reach the end that the first of them announces.

    Args:
        file: The file, at any position. Read frame by frame: memory stays flat.
        size: The file's length in bytes.
    """
    walked = _walk(file)
    if walked.frames == 0:
        return walked.start < size  # a free-format stream or no MP3 at all: the decoder will say
    # Some encoders count the Xing frame in what it announces and some do not: at least is enough,
    # for the bytes find the one frame that is then forgiven.
    announced = walked.announced
    if announced is None or announced.has_stand_in:
        return walked.end <= size
    return (
        walked.end <= size
        and walked.frames >= announced.frames
        and size - walked.start >= announced.bytes
    )


def mend_mp3(file: BinaryIO, size: int) -> bool:
    """Write the true counts over stand-ins in a Xing or Info frame; return whether there were any.

    A decoder that believes in 0 frames plays a fraction of the sound.

    Args:
        file: The file, opened for reading and writing.
        size: The file's length in bytes.
    """
    walked = _walk(file)
    announced = walked.announced
    if announced is None or not announced.has_stand_in or walked.end > size:
        return False
    counts = [walked.frames - 1] if announced.flags & _HAS_FRAMES else []
    if announced.flags & _HAS_BYTES:
        counts.append(walked.end - walked.start)
    file.seek(announced.counts_at)
    file.write(struct.pack(f">{len(counts)}I", *counts))
    return True


def _walk(file: BinaryIO) -> _Walked:
    start = position = _after_id3(file)
    frames, announced = 0, None
    while (frame := _frame_at(file, position)) is not None:
        if frames == 0:
            announced = _announced(file, position, frame)
        frames += 1
        position += frame.length
    return _Walked(start, position, frames, announced)


def _after_id3(file: BinaryIO) -> int:
    """Return where the frames start, behind an ID3v2 tag if there is one."""
    file.seek(0)
    head = file.read(_ID3_HEADER)
    if not head.startswith(b"ID3") or len(head) < _ID3_HEADER:
        return 0
    # Seven bits a byte, so that a size never looks like a frame's sync.
    length = sum(
        (byte & 0x7F) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True)
    )
    return _ID3_HEADER + length


def _frame_at(file: BinaryIO, position: int) -> _Frame | None:
    """Read a layer III header; None where there is none: a tag behind the sound, or the end."""
    file.seek(position)
    raw = file.read(4)
    if len(raw) < 4:  # noqa: PLR2004 -- a header's length
        return None
    (header,) = struct.unpack(">I", raw)
    version, layer = header >> 19 & 3, header >> 17 & 3
    bitrate_index, rate_index, padding = header >> 12 & 15, header >> 10 & 3, header >> 9 & 1
    if header >> 21 != 0x7FF or version not in _RATES or layer != 1:  # noqa: PLR2004 -- sync bits
        return None
    if bitrate_index in {0, 15} or rate_index == 3:  # noqa: PLR2004 -- reserved values
        return None
    rate = _RATES[version][rate_index]
    mono = header >> 6 & 3 == _MONO
    if version == _MPEG1:
        length = 144_000 * _BITRATES_MPEG1[bitrate_index] // rate + padding
        return _Frame(length, side_info=17 if mono else 32)
    length = 72_000 * _BITRATES_MPEG2[bitrate_index] // rate + padding
    return _Frame(length, side_info=9 if mono else 17)


def _announced(file: BinaryIO, position: int, frame: _Frame) -> _Announced | None:
    """Return what a Xing or Info frame announces; None without one."""
    tag_at = position + 4 + frame.side_info
    file.seek(tag_at)
    tag = file.read(16)
    if tag[:4] not in {b"Xing", b"Info"} or len(tag) < 16:  # noqa: PLR2004 -- tag, flags, two counts
        return None
    flags, first, second = struct.unpack(">III", tag[4:])
    if not flags & _HAS_FRAMES:
        return _Announced(0, first if flags & _HAS_BYTES else 0, flags, tag_at + 8)
    return _Announced(first, second if flags & _HAS_BYTES else 0, flags, tag_at + 8)
