"""How loud a sound is: integrated loudness and true peak (ITU-R BS.1770-4), in one pass.

pyloudnorm has the standard's filters, and measures whole arrays: four hours of stereo would be
11 GB. Here its filters run block by block and only a number a tenth of a second is kept, so
memory is flat. SciPy is imported at the top: import this module only where sound is at hand.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from pyloudnorm.iirfilter import IIRfilter
from scipy import signal

from asset_pipeline.media.resampling import resampled
from asset_pipeline.media.sounds import Samples, blocks, open_sound

_OFFSET = -0.691
_ABSOLUTE_GATE = -70.0
_RELATIVE_GATE = -10.0

# A gating block is 0.4 s and begins every 0.1 s.
_HOPS_A_SECOND = 10
_HOPS_A_BLOCK = 4

# Left, right, centre, surrounds.
_WEIGHTS = (1.0, 1.0, 1.0, 1.41, 1.41)

# The standard's: four times at 48 kHz, so at least 192 kHz in all.
_PEAK_RATE = 192_000
_MOST_OVERSAMPLING = 4


@dataclass(frozen=True, slots=True)
class Loudness:
    """What was measured.

    Attributes:
        integrated_lufs: Integrated loudness; minus infinity where nothing passes the gate of
            -70 LUFS.
        true_peak_dbtp: The highest peak, those between the samples included; minus infinity for
            digital silence.
    """

    integrated_lufs: float
    true_peak_dbtp: float


def measure(path: Path) -> Loudness:
    """Measure a sound file.

    Raises:
        BadMediaError: The file cannot be decoded.
    """
    with open_sound(path) as sound:
        energy = _Energy(sound.samplerate, sound.channels)
        factor = min(_MOST_OVERSAMPLING, max(1, math.ceil(_PEAK_RATE / sound.samplerate)))
        peak = 0.0

        def heard() -> Iterable[Samples]:
            nonlocal peak
            for block in blocks(sound):
                energy.feed(block)
                peak = max(peak, _highest(block))
                yield block

        for block in resampled(heard(), factor, 1):
            peak = max(peak, _highest(block))
    return Loudness(energy.integrated(), decibels(peak))


def decibels(amplitude: float) -> float:
    """Return an amplitude, full scale being 1, in decibels."""
    return 20 * math.log10(amplitude) if amplitude > 0 else -math.inf


class _Energy:
    """The energy of K-weighted sound, summed up by tenths of a second."""

    def __init__(self, rate: int, channels: int) -> None:
        self._rate = rate
        weights = [*_WEIGHTS, *[_WEIGHTS[-1]] * channels][:channels]
        self._weights = np.array(weights)
        self._filters: tuple[Any, ...] = (  # pyloudnorm is not typed
            IIRfilter(4.0, 1 / math.sqrt(2), 1500.0, rate, "high_shelf"),
            IIRfilter(0.0, 0.5, 38.0, rate, "high_pass"),
        )
        self._states = [np.zeros((2, channels)) for _ in self._filters]
        self._hops: list[float] = [0.0]
        self._frames = 0

    def feed(self, block: Samples) -> None:
        """Take the next frames, shape (frames, channels)."""
        weighted: NDArray[np.float64] = block.astype(np.float64)
        for index, stage in enumerate(self._filters):
            weighted, self._states[index] = cast("Any", signal.lfilter)(
                stage.b, stage.a, weighted, axis=0, zi=self._states[index]
            )
        hops = (self._frames + np.arange(len(block))) * _HOPS_A_SECOND // self._rate
        sums = np.bincount(hops - len(self._hops) + 1, weights=weighted**2 @ self._weights)
        self._hops[-1] += float(sums[0])
        self._hops.extend(sums[1:].tolist())
        self._frames += len(block)

    def integrated(self) -> float:
        """Return the integrated loudness in LUFS."""
        whole = self._frames * _HOPS_A_SECOND // self._rate
        if whole < _HOPS_A_BLOCK:
            # Shorter than the standard has an answer for: one block of what there is.
            return _loudness(np.array([sum(self._hops) / max(1, self._frames)]))
        sums = np.convolve(np.array(self._hops[:whole]), np.ones(_HOPS_A_BLOCK), mode="valid")
        power = sums * _HOPS_A_SECOND / (_HOPS_A_BLOCK * self._rate)
        return _loudness(power)


def _loudness(power: NDArray[np.float64]) -> float:
    """Return the loudness of gating blocks by their mean powers, gated twice."""
    heard = power[power > _power_at(_ABSOLUTE_GATE)]
    if len(heard) == 0:
        return -math.inf
    floor = _power_at(_lufs(float(heard.mean())) + _RELATIVE_GATE)
    return _lufs(float(heard[heard > floor].mean()))


def _lufs(power: float) -> float:
    return _OFFSET + 10 * math.log10(power)


def _power_at(lufs: float) -> float:
    return 10 ** ((lufs - _OFFSET) / 10)


def _highest(block: Samples) -> float:
    return float(np.abs(block).max(initial=0.0))
