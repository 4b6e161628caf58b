"""Renditions of sounds: brought to a target loudness under a true peak bound, and transcoded.

Only a gain is applied, so nothing is compressed, pumped or clipped. Where peaks leave no room
for the gain that the target needs, the bound wins and :attr:`RenderedSound.note` says so. A lossy
encoder makes new peaks: the encoded file is measured too, and encoded again more softly while
one of its peaks is above the bound.

SciPy and libsndfile are imported at the top: import this module only where sound is at hand.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.files import atomic_path, sha256_of
from asset_pipeline.media.bad_media import BadMediaError, BadMediaReason
from asset_pipeline.media.formats import FLAC, MP3, OPUS, WAV, MediaFormat
from asset_pipeline.media.loudness import Loudness, measure
from asset_pipeline.media.probe import MediaInfo
from asset_pipeline.media.resampling import resampled
from asset_pipeline.media.sounds import blocks, open_sound
from asset_pipeline.prompts.rendition_specs import AudioRendition

# A hundredth of a decibel: what rounding to 16 bits may add to a peak.
_ROUNDING_DB = 0.01
_ENCODINGS = 6

# Half a loudness unit is what a listener may notice side by side, and what EBU R 128 allows.
_TOLERANCE_LU = 0.5

_OPUS_RATES = (8_000, 12_000, 16_000, 24_000, 48_000)
_MP3_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)


@dataclass(frozen=True, slots=True)
class _Encoder:
    media_format: MediaFormat
    container: str
    subtype: str
    rates: tuple[int, ...] = ()
    options: tuple[tuple[str, Any], ...] = ()


_ENCODERS = {
    # LAME's V2, 94 kbit/s for mono speech at most: the level at which listeners stop telling.
    "mp3": _Encoder(
        MP3,
        "MP3",
        "MPEG_LAYER_III",
        _MP3_RATES,
        (("bitrate_mode", "VARIABLE"), ("compression_level", 0.2)),
    ),
    "opus": _Encoder(OPUS, "OGG", "OPUS", _OPUS_RATES),
    "flac": _Encoder(FLAC, "FLAC", "PCM_16"),
    "wav": _Encoder(WAV, "WAV", "PCM_16"),
}


@dataclass(frozen=True, slots=True)
class RenderedSound:
    """A rendition that was written.

    Attributes:
        info: What the file is.
        loudness: What the file measures, after decoding it again.
        gain_db: What was added to the original.
        note: Why the target was not reached, for people; empty when it was.
    """

    info: MediaInfo
    loudness: Loudness
    gain_db: float
    note: str


def render_sound(
    path: Path, source: Loudness, target: Path, setting: AudioRendition
) -> RenderedSound:
    """Write one rendition.

    Args:
        path: A verified sound file.
        source: What :func:`~asset_pipeline.media.loudness.measure` said of it.
        target: The file to write, whole or not at all. It is not synced: a store does that.
        setting: Format, target loudness and true peak bound.

    Raises:
        BadMediaError: The file cannot be decoded, or not be encoded in this format.
    """
    bound = setting.true_peak_dbtp
    wanted = setting.loudness_lufs - source.integrated_lufs
    gain = min(
        wanted if math.isfinite(wanted) else 0.0, bound - _ROUNDING_DB - source.true_peak_dbtp
    )
    for _ in range(_ENCODINGS):
        frames, rate = _encode(path, target, _ENCODERS[setting.format], gain)
        found = measure(target)
        over = found.true_peak_dbtp - bound
        if over <= 0:
            info = _info(target, _ENCODERS[setting.format].media_format, frames / rate)
            return RenderedSound(info, found, gain, _note(setting, source, found))
        gain -= over + _ROUNDING_DB
    raise BadMediaError(
        f"{path.name} cannot be encoded as {setting.format} with peaks under {bound:g} dBTP.",
        BadMediaReason.UNDECODABLE,
    )


def _encode(path: Path, target: Path, encoder: _Encoder, gain: float) -> tuple[int, int]:
    """Write the sound at a gain in dB; return its frames and sample rate."""
    factor = np.float32(10 ** (gain / 20))
    frames = 0
    with open_sound(path) as sound, atomic_path(target, durable=False) as temporary:
        rate = _rate(encoder, sound.samplerate)
        with soundfile.SoundFile(
            temporary,
            "w",
            samplerate=rate,
            channels=sound.channels,
            format=encoder.container,
            subtype=encoder.subtype,
            **dict(encoder.options),
        ) as writing:
            for block in resampled(blocks(sound), rate, sound.samplerate):
                frames += len(block)
                writing.write(block * factor)
    return frames, rate


def _rate(encoder: _Encoder, source: int) -> int:
    """Return the lowest rate that the encoder takes and that loses nothing, else its highest."""
    if not encoder.rates:
        return source
    return min((rate for rate in encoder.rates if rate >= source), default=encoder.rates[-1])


def _info(path: Path, media_format: MediaFormat, seconds: float) -> MediaInfo:
    return MediaInfo(
        kind=Kind.AUDIO,
        mime=media_format.mime,
        extension=media_format.extension,
        bytes=path.stat().st_size,
        sha256=sha256_of(path),
        width=None,
        height=None,
        duration_seconds=seconds,
    )


def _note(setting: AudioRendition, source: Loudness, found: Loudness) -> str:
    if not math.isfinite(source.integrated_lufs):
        return "It is too quiet for its loudness to be measured, so it was left as it is."
    short = setting.loudness_lufs - found.integrated_lufs
    if short <= _TOLERANCE_LU:
        return ""
    return (
        f"The true peak bound of {setting.true_peak_dbtp:g} dBTP stopped it at "
        f"{found.integrated_lufs:.1f} LUFS, {short:.1f} LU short of the target."
    )
