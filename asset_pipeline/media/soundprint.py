"""Whether two sounds are nearly the same, by how energy moves between bands of frequency.

The method is that of Haitsma and Kalker (2002): a bit says whether the difference of two
neighbouring bands grew since the frame before. It survives codecs, other rates and loudness.

SciPy and libsndfile are imported at the top: import this module only where sound is at hand.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import numpy as np
import soundfile
from numpy.typing import NDArray

from asset_pipeline.media.bad_media import BadMediaError, BadMediaReason
from asset_pipeline.media.resampling import resampled
from asset_pipeline.media.sounds import Samples, blocks

_RATE = 5_500
_FRAME, _HOP = 2_048, 64  # 0.37 s, every 12 ms
_BANDS, _LOWEST, _HIGHEST = 33, 300.0, 2_000.0

# A print on record keeps each eighth of them, 43 bytes a second: frames overlap so far that
# neighbours differ by 1 or 2 bits. What is looked for has all of them, so that any start matches.
_KEPT = 8
_LONGEST_SECONDS = 120
_SHIFTS = 12  # of 93 ms: what encoders add in front, and a second that was cut off
_LEAST_SHARED = 0.6

Print = NDArray[np.uint32]


def soundprint(path: Path) -> Print:
    """Return the print of a sound's first two minutes, a word of 32 bits each 12 ms.

    Raises:
        BadMediaError: It can't be decoded.
    """
    try:
        with soundfile.SoundFile(path) as sound:
            reading = blocks(cast("Any", sound))
            mono = _mono(resampled(reading, _RATE, sound.samplerate))
    except soundfile.LibsndfileError as error:
        raise BadMediaError(
            f"{path.name} is no sound that can be decoded: {error}", BadMediaReason.UNDECODABLE
        ) from None
    return _print_of(mono)


def short_print(whole: Print) -> Print:
    """Return what is kept on record of a print."""
    return whole[::_KEPT]


def difference(whole: Print, kept: Print) -> float:
    """Return the share of bits in which a sound differs from one on record, where it fits best.

    Equal sounds have 0, others around 0.5; a copy by another codec stays under 0.25.

    Args:
        whole: From :func:`soundprint`.
        kept: From :func:`short_print`.
    """
    best, least = 1.0, max(1, round(_LEAST_SHARED * len(kept)))
    for phase in range(_KEPT):
        looked = whole[phase::_KEPT]
        for shift in range(-_SHIFTS, _SHIFTS + 1):
            one, other = looked[max(0, shift) :], kept[max(0, -shift) :]
            shared = min(len(one), len(other))
            if shared >= least:
                bits = int(np.bitwise_count(one[:shared] ^ other[:shared]).sum())
                best = min(best, bits / (32 * shared))
    return best


def _mono(parts: Iterable[Samples]) -> NDArray[np.float32]:
    mixed: list[Samples] = []
    left = _LONGEST_SECONDS * _RATE
    for part in parts:
        mixed.append(part.mean(axis=1))
        left -= len(part)
        if left <= 0:
            break
    return np.concatenate(mixed) if mixed else np.zeros(0, np.float32)


def _print_of(mono: NDArray[np.float32]) -> Print:
    if len(mono) < _FRAME + _HOP:
        mono = np.pad(mono, (0, _FRAME + _HOP - len(mono)))
    frames = np.lib.stride_tricks.sliding_window_view(mono, _FRAME)[::_HOP]
    spectrum = np.abs(np.fft.rfft(frames * np.hanning(_FRAME).astype(np.float32), axis=1)) ** 2
    edges = np.geomspace(_LOWEST, _HIGHEST, _BANDS + 1) * _FRAME / _RATE
    energy = np.add.reduceat(spectrum, edges.astype(int), axis=1)[:, :_BANDS]
    rising = np.diff(np.diff(energy, axis=1), axis=0) > 0
    weights = (1 << np.arange(_BANDS - 1, dtype=np.uint64)).astype(np.uint32)
    return cast("Print", (rising * weights).sum(axis=1, dtype=np.uint32))
