"""Renditions of sounds: loud as asked, peaks under the bound, whole in every format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.media.audio_renditions import RenderedSound, render_sound
from asset_pipeline.media.loudness import measure
from asset_pipeline.media.probe import verify
from asset_pipeline.prompts.rendition_specs import AudioRendition, SoundFormat
from asset_pipeline_tests.support import media_samples

FORMATS: tuple[SoundFormat, ...] = ("mp3", "opus", "flac", "wav")


def _render(path: Path, target: Path, setting: AudioRendition) -> RenderedSound:
    return render_sound(path, measure(path), target, setting)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("amplitude", [0.02, 0.9])
def test_a_sound_is_brought_to_its_target(
    tmp_path: Path, form: SoundFormat, amplitude: float
) -> None:
    """Faint or loud, it comes out at -16 LUFS, under -1 dBTP, as long, and verifies."""
    path = media_samples.written(
        tmp_path, media_samples.sound_bytes("wav", media_samples.tone(2.0, amplitude))
    )
    made = _render(path, tmp_path / "out", AudioRendition(format=form))
    assert made.note == ""
    assert made.loudness.integrated_lufs == pytest.approx(-16, abs=0.5)
    assert made.loudness.true_peak_dbtp <= -1
    info = verify(tmp_path / "out", Kind.AUDIO)
    assert (info.extension, info.sha256) == (made.info.extension, made.info.sha256)
    assert info.extension == form
    assert info.duration_seconds == pytest.approx(2.0, abs=0.05)
    assert made.info.duration_seconds == pytest.approx(2.0, abs=0.001)


@pytest.mark.parametrize("form", FORMATS)
def test_the_peak_bound_wins_and_says_so(tmp_path: Path, form: SoundFormat) -> None:
    """A whisper with one loud clap is not raised so far that the clap would clip."""
    sound = media_samples.tone(2.0, 0.01)
    sound[20_000:20_050] += 0.5 * np.hanning(50).astype(np.float32)
    path = media_samples.written(tmp_path, media_samples.sound_bytes("wav", sound))
    made = _render(path, tmp_path / "out", AudioRendition(format=form, true_peak_dbtp=-2))
    assert made.loudness.true_peak_dbtp <= -2
    assert made.loudness.true_peak_dbtp > -3, "it is no softer than it has to be"
    assert "true peak bound of -2 dBTP stopped it" in made.note


def test_what_an_encoder_adds_to_peaks_is_taken_back(tmp_path: Path) -> None:
    """Noise at full scale overshoots when MP3 and Opus decode it; the files given out do not."""
    noise = np.random.default_rng(0).uniform(-1, 1, 48_000).astype(np.float32)
    path = media_samples.written(tmp_path, media_samples.sound_bytes("wav", noise))
    for form in FORMATS:
        loud = AudioRendition(format=form, loudness_lufs=-5, true_peak_dbtp=0)
        assert _render(path, tmp_path / form, loud).loudness.true_peak_dbtp <= 0


def test_what_is_too_quiet_to_measure_is_left_as_it_is(tmp_path: Path) -> None:
    """Hardly audible sound is not blown up into noise, and the metadata says why."""
    path = media_samples.written(
        tmp_path, media_samples.sound_bytes("wav", media_samples.tone(2.0, 0.0002))
    )
    made = _render(path, tmp_path / "out", AudioRendition(format="wav"))
    assert made.gain_db == 0
    assert "too quiet" in made.note


def test_stereo_and_odd_rates_survive(tmp_path: Path) -> None:
    """Two channels stay two, and a rate that Opus does not know is raised, not lowered."""
    import soundfile  # noqa: PLC0415 -- this test alone

    path = tmp_path / "stereo.wav"
    time = np.arange(44_100) / 44_100
    both = np.stack([np.sin(2 * np.pi * 440 * time), np.sin(2 * np.pi * 660 * time)], axis=1)
    soundfile.write(path, 0.3 * both, 44_100)
    made = _render(path, tmp_path / "out", AudioRendition(format="opus"))
    found = soundfile.info(tmp_path / "out")
    assert (found.channels, found.samplerate) == (2, 48_000)
    assert made.info.duration_seconds == pytest.approx(1.0, abs=0.001)


def test_the_same_sound_gives_the_same_file(tmp_path: Path) -> None:
    """Renditions are stored by content: making one again must not store it twice."""
    path = media_samples.written(
        tmp_path, media_samples.sound_bytes("wav", media_samples.tone(1.0))
    )
    for form in ("mp3", "flac", "wav"):
        first = _render(path, tmp_path / "one", AudioRendition(format=form))
        again = _render(path, tmp_path / "two", AudioRendition(format=form))
        assert first.info == again.info
