"""Loudness and true peak, held against pyloudnorm and against what is known by arithmetic."""

from __future__ import annotations

import math
import tracemalloc
from pathlib import Path

import numpy as np
import pyloudnorm
import pytest
import soundfile
from numpy.typing import NDArray
from scipy import signal

from asset_pipeline.media.loudness import measure
from asset_pipeline.media.resampling import resampled


def _phrases(rate: int, channels: int) -> NDArray[np.float32]:
    """Noise in phrases with pauses and fades, as speech has them: both gates have work to do."""
    random = np.random.default_rng(rate + channels)
    time = np.arange(7 * rate) / rate
    envelope = np.clip(np.sin(2 * np.pi * time / 1.7), 0, 1) * (0.05 + time / 20)
    sound = random.standard_normal((len(time), channels)) * envelope[:, None] * 0.4
    return np.clip(sound, -1, 1).astype(np.float32)


def _written(folder: Path, sound: NDArray[np.float32], rate: int) -> Path:
    path = folder / "sound.wav"
    soundfile.write(path, sound, rate, subtype="FLOAT")
    return path


@pytest.mark.parametrize(("rate", "channels"), [(22_050, 1), (24_000, 2), (44_100, 2), (48_000, 1)])
def test_loudness_agrees_with_pyloudnorm(tmp_path: Path, rate: int, channels: int) -> None:
    """Measured block by block it is what pyloudnorm says of the whole array."""
    sound = _phrases(rate, channels)
    expected = pyloudnorm.Meter(rate).integrated_loudness(sound.astype(np.float64))
    found = measure(_written(tmp_path, sound, rate))
    assert found.integrated_lufs == pytest.approx(expected, abs=0.05)


def test_a_peak_between_two_samples_is_seen(tmp_path: Path) -> None:
    """A sine whose samples all miss its top is 3 dB higher than its highest sample."""
    time = np.arange(48_000)
    sine = np.sin(2 * np.pi * time / 4 + np.pi / 4) * np.hanning(48_000)
    assert np.abs(sine).max() == pytest.approx(1 / math.sqrt(2), abs=0.001)
    found = measure(_written(tmp_path, sine[:, None].astype(np.float32), 48_000))
    assert found.true_peak_dbtp == pytest.approx(0.0, abs=0.1)


def test_a_short_sound_is_measured_as_one_block(tmp_path: Path) -> None:
    """The standard's shortest is 0.4 s; a chime of 0.2 s gets an answer too, a faint one none."""
    chime = np.sin(2 * np.pi * 1000 * np.arange(4_800) / 24_000)[:, None].astype(np.float32)
    found = measure(_written(tmp_path, chime, 24_000))
    assert found.integrated_lufs == pytest.approx(-3.0, abs=0.5)
    found = measure(_written(tmp_path, chime * np.float32(1e-5), 24_000))
    assert found.integrated_lufs == -math.inf


def test_a_constant_offset_is_no_loudness(tmp_path: Path) -> None:
    """What nobody hears passes neither the weighting nor the gates."""
    offset = np.full((48_000, 1), 0.001, dtype=np.float32)
    assert measure(_written(tmp_path, offset, 48_000)).integrated_lufs == -math.inf


@pytest.mark.parametrize(("up", "down"), [(4, 1), (160, 147), (1, 2), (2, 1)])
@pytest.mark.parametrize("sizes", [[10_000], [1, 700, 3, 5_000, 4_296], [4_000, 6_000]])
def test_seams_between_blocks_do_not_show(up: int, down: int, sizes: list[int]) -> None:
    """However the sound is cut into blocks, it is resampled as in one piece."""
    sound = np.random.default_rng(1).standard_normal((10_000, 2)).astype(np.float32)
    whole = signal.resample_poly(sound, up, down, axis=0)
    cut = np.split(sound, np.cumsum(sizes)[:-1])
    made = np.concatenate(list(resampled(cut, up, down)))
    assert made.shape == whole.shape
    assert np.abs(made - whole).max() < 1e-4


def test_memory_does_not_grow_with_the_length(tmp_path: Path) -> None:
    """Three minutes are measured in less than the sound itself would take as one array."""
    path = tmp_path / "long.wav"
    second = _phrases(24_000, 1)[:24_000]
    with soundfile.SoundFile(path, "w", 24_000, 1) as file:
        for _ in range(180):
            file.write(second)
    tracemalloc.start()
    measure(path)
    _, highest = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert highest < 16_000_000
