"""Decoding sound in blocks, so that memory stays flat; telling silence.

NumPy and soundfile are imported here at the top: import this module only where sound is at hand.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Protocol, cast

import numpy as np
import soundfile
from numpy.typing import NDArray

from asset_pipeline.media.bad_media import BadMediaError, BadMediaReason

MAX_SECONDS = 4 * 3600.0
"""Longer sound is refused: a few kilobytes of FLAC can hold days of silence."""

MIN_SECONDS = 0.05
"""Shorter sound is no sound, and so much of a clip must be heard; a hand clap lasts 0.1 s."""

MAX_CHANNELS = 32
"""More are no clip for people; a header may name 1,024, and each block is as wide."""

MAX_RATE = 768_000
"""Hertz: the fastest that converters are built for. Blocks are as long as a part of a second."""

# Heard is a hundredth of a second that swings by more than -60 dBFS RMS around its own mean, so
# that a constant offset is silence. Measured: dither is at -96 dBFS, and 8-bit hiss at -53 on
# purpose is heard; speech whispered at a 40th of full scale is at -45.
AUDIBLE_DBFS = -60.0
_HOP_SECONDS = 0.01
_BLOCK_VALUES = 1 << 17

NO_LENGTH = (1 << 36) - 1
"""From here on a length is none: FLAC's field is full, or libsndfile says 9e18 for its 0."""

Samples = NDArray[np.float32]


class Sound(Protocol):
    """The part of ``soundfile.SoundFile`` in use; the library ships no types."""

    samplerate: int
    channels: int
    frames: int

    def read(self, frames: int, dtype: str, *, always_2d: bool) -> Samples:
        """Return the next ``frames`` frames, shape (frames, channels), in -1..1."""
        ...


class _ForwardOnly(soundfile.SoundFile):
    """A sound file read from start to end.

    After each block soundfile seeks to where it is. An MP3 frame borrows bits from those before
    it, which libmpg123 drops when it seeks: it decodes the next frame wrong and says so on stderr.
    """

    def seekable(self) -> bool:
        return False


@contextlib.contextmanager
def open_sound(path: Path) -> Generator[Sound]:
    """Open a sound file.

    Everything that the decoder raises inside the ``with`` block becomes a :class:`BadMediaError`.

    Raises:
        BadMediaError: The file cannot be decoded, or is longer than :data:`MAX_SECONDS`.
    """
    try:
        with _ForwardOnly(path) as opened:
            sound = cast("Sound", opened)
            _refuse_wide(path, sound)
            if sound.frames < NO_LENGTH:
                _refuse_long(path, sound.frames / sound.samplerate)
            yield sound
    except (BadMediaError, MemoryError):
        raise
    except Exception as error:
        raise BadMediaError(
            f"{path.name} is a sound file that cannot be decoded: {error}",
            BadMediaReason.UNDECODABLE,
        ) from error


def blocks(sound: Sound) -> Iterator[Samples]:
    """Read on in blocks of whole hundredths of a second, half a megabyte at a time."""
    hop = _hop(sound)
    frames = max(1, _BLOCK_VALUES // (hop * sound.channels)) * hop
    while len(block := sound.read(frames, "float32", always_2d=True)):
        yield block


def check_sound(path: Path) -> float:
    """Decode all of a sound file and refuse one in which nothing is heard.

    Returns:
        The decoded duration in seconds.

    Raises:
        BadMediaError: The file is damaged, cut short, too long, near-empty or silent.
    """
    frames, heard_seconds = 0, 0.0
    with open_sound(path) as sound:
        for block in blocks(sound):
            if not np.isfinite(block).all():
                raise BadMediaError(
                    f"{path.name} holds samples that are no numbers.", BadMediaReason.UNDECODABLE
                )
            frames += len(block)
            _refuse_long(path, frames / sound.samplerate)
            heard_seconds += _heard_seconds(block, sound)
        announced, seconds = sound.frames, frames / sound.samplerate
    if frames < announced < NO_LENGTH:
        raise BadMediaError(
            f"{path.name} announces {announced:,} frames of sound and holds {frames:,}.",
            BadMediaReason.TRUNCATED,
        )
    if seconds < MIN_SECONDS:
        raise BadMediaError(
            f"{path.name} lasts {seconds:.3f} s, which is no sound.", BadMediaReason.EMPTY
        )
    if heard_seconds < MIN_SECONDS:
        raise BadMediaError(
            f"{path.name} is silent: {heard_seconds:.2f} s of its {seconds:.2f} s are louder than "
            f"{AUDIBLE_DBFS:.0f} dBFS.",
            BadMediaReason.SILENT,
        )
    return seconds


def count_frames(path: Path) -> int:
    """Return how many samples a channel has in a file that does not say so itself.

    Raises:
        BadMediaError: The file can't be decoded, or is longer than :data:`MAX_SECONDS`.
    """
    frames = 0
    with open_sound(path) as sound:
        for block in blocks(sound):
            frames += len(block)
            _refuse_long(path, frames / sound.samplerate)
    return frames


def peaks(path: Path, bars: int) -> list[float]:
    """Return the peak (0 to 1) of each of ``bars`` equal parts of a sound file.

    Raises:
        BadMediaError: The file cannot be decoded.
    """
    heights = np.zeros(bars, dtype=np.float32)
    done = 0
    with open_sound(path) as sound:
        for block in blocks(sound):
            swing = np.abs(block).max(axis=1)
            positions = np.arange(done, done + len(block)) * bars // max(sound.frames, 1)
            np.maximum.at(heights, np.minimum(positions, bars - 1), swing)
            done += len(block)
    return [min(float(height), 1.0) for height in heights]


def _heard_seconds(block: Samples, sound: Sound) -> float:
    """Return how many seconds of a block, in hundredths, are louder than the threshold."""
    hop = _hop(sound)
    whole = len(block) // hop * hop
    parts = block[:whole].reshape(-1, hop, sound.channels)
    loudest_channel = parts.std(axis=1).max(axis=1) if len(parts) else np.zeros(0)
    threshold = 10 ** (AUDIBLE_DBFS / 20)
    seconds = np.count_nonzero(loudest_channel > threshold) * hop / sound.samplerate
    rest = block[whole:]
    if len(rest) and rest.std(axis=0).max() > threshold:
        seconds += len(rest) / sound.samplerate
    return float(seconds)


def _hop(sound: Sound) -> int:
    return max(1, round(sound.samplerate * _HOP_SECONDS))


def _refuse_long(path: Path, seconds: float) -> None:
    if seconds > MAX_SECONDS:
        raise BadMediaError(
            f"{path.name} lasts {seconds / 3600:.1f} h; at most {MAX_SECONDS / 3600:.0f} h are "
            "decoded.",
            BadMediaReason.TOO_LARGE,
        )


def _refuse_wide(path: Path, sound: Sound) -> None:
    if sound.channels > MAX_CHANNELS or not 0 < sound.samplerate <= MAX_RATE:
        raise BadMediaError(
            f"{path.name} says that it has {sound.channels:,} channels at {sound.samplerate:,} Hz; "
            f"at most {MAX_CHANNELS} at {MAX_RATE:,} Hz are decoded.",
            BadMediaReason.TOO_LARGE,
        )
