"""Sound: heard, repeatable, at the speed asked for."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from asset_pipeline.sandbox.speech import SAMPLE_RATE, SoundRequest, compose, sound, speak
from asset_pipeline_tests.sandbox.conftest import (
    KOKORO_VERSION,
    MUSICGEN_VERSION,
    Running,
)

REQUEST = SoundRequest("Welcome to the estate planning kit.", 1)


def _loudness(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(samples**2)))


def test_delivered_speech(instant: Running) -> None:
    """Speech comes as a wav that is not silent, and its length is in the metrics."""
    said = instant.client.predictions.create(
        version=KOKORO_VERSION, input={"text": REQUEST.text, "voice": "am_adam"}
    )
    reply = instant.http.get(said.output)
    samples, rate = soundfile.read(io.BytesIO(reply.content))
    assert reply.headers["content-type"] == "audio/wav"
    assert rate == SAMPLE_RATE
    assert _loudness(samples) > 0.01
    assert said.metrics is not None
    assert said.metrics["character_input_count"] == len(REQUEST.text)
    assert said.metrics["audio_output_count"] == 1
    assert said.metrics["audio_output_duration_seconds"] == pytest.approx(
        len(samples) / rate, abs=0.01
    )


def test_delivered_mp3_and_music(instant: Running) -> None:
    """Official speech is an mp3; music has the format and the seconds asked for."""
    speech = instant.http.post(
        "/v1/models/minimax/speech-02-turbo/predictions", json={"input": {"text": "Hello."}}
    ).json()
    assert speech["output"].endswith(".mp3")
    assert soundfile.info(io.BytesIO(instant.http.get(speech["output"]).content)).format == "MP3"
    music = instant.client.predictions.create(
        version=MUSICGEN_VERSION,
        input={"prompt": "calm piano", "duration": 3, "output_format": "wav"},
    )
    samples, rate = soundfile.read(io.BytesIO(instant.http.get(music.output).content))
    assert len(samples) / rate == pytest.approx(3)
    assert _loudness(samples) > 0.01


def test_speed_is_honoured() -> None:
    """Twice the speed takes about half the time."""
    slow, fast = speak(replace(REQUEST, speed=0.8)), speak(replace(REQUEST, speed=1.6))
    assert 1.6 < len(slow) / len(fast) < 2.4


def test_voices_differ_and_seeds_repeat() -> None:
    """The same request sounds the same; another voice does not."""
    once, again = sound(REQUEST), sound(REQUEST)
    assert once == again
    assert sound(replace(REQUEST, voice="bm_george"))[0] != once[0]


@pytest.mark.parametrize("text", ["…", "日本語", "!!!"])
def test_nothing_to_pronounce_is_still_heard(text: str) -> None:
    """A text that the voice cannot read becomes a chime, never silence."""
    assert _loudness(speak(SoundRequest(text, 1))) > 0.01


def test_tunes_follow_the_seed() -> None:
    """Another seed is another tune; nothing clips."""
    one = compose(SoundRequest("calm", 1, music_seconds=4))
    two = compose(SoundRequest("calm", 2, music_seconds=4))
    assert not np.array_equal(one, two)
    assert float(np.abs(one).max()) <= 1
