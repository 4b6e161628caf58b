"""Sound: text spoken by hibari's voice, and short chord progressions for music models."""

from __future__ import annotations

import hashlib
import io
import threading
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 24_000

Samples = NDArray[np.float32]

# Minor and major progressions in semitones above the tonic, each chord four notes.
_PROGRESSIONS = (
    ((0, 4, 7, 12), (9, 12, 16, 21), (5, 9, 12, 17), (7, 11, 14, 19)),
    ((0, 3, 7, 12), (8, 12, 15, 20), (3, 7, 10, 15), (10, 14, 17, 22)),
    ((0, 4, 7, 11), (5, 9, 12, 16), (2, 5, 9, 12), (7, 11, 14, 17)),
    ((0, 3, 7, 10), (5, 8, 12, 15), (7, 10, 14, 17), (0, 3, 7, 12)),
)
_synthesis = threading.Lock()  # one voice, one sentence at a time: hibari keeps state between them


@dataclass(frozen=True, slots=True)
class SoundRequest:
    """What to sound like.

    Args:
        text: What to say, or what the music is for.
        seed: Decides the breath noise, or the tune.
        voice: Name of a voice; each name speaks at a pitch of its own.
        speed: 1 is the voice's own pace.
        music_seconds: Length of the music; None to speak.
        format: ``wav``, ``mp3`` or ``flac``.
    """

    text: str
    seed: int
    voice: str = ""
    speed: float = 1.0
    music_seconds: float | None = None
    format: str = "wav"


def sound(request: SoundRequest) -> tuple[bytes, float]:
    """Return the encoded sound and its length in seconds."""
    samples = speak(request) if request.music_seconds is None else compose(request)
    return encode(samples, request.format), len(samples) / SAMPLE_RATE


def speak(request: SoundRequest) -> Samples:
    """Return the text spoken; a text with nothing to pronounce becomes a short chime."""
    if not any(letter.isascii() and letter.isalnum() for letter in request.text):
        return compose(SoundRequest(request.text, request.seed, music_seconds=2.0))
    # A voice of another pitch is the same voice played faster or slower, its pace corrected.
    pitch = _pitch(request.voice)
    pace = min(max(request.speed / pitch, 0.3), 4.0)
    with _synthesis:
        seed = request.seed & 0xFFFF_FFFF  # the voice takes 32 bits, an input may hold any number
        spoken = cast("Samples", _voice()(request.text, speed=pace, seed=seed))
    if pitch != 1.0:
        positions = np.arange(0, len(spoken) - 1, pitch)
        spoken = np.interp(positions, np.arange(len(spoken)), spoken).astype(np.float32)
    return spoken


def compose(request: SoundRequest) -> Samples:
    """Return a seeded chord progression, plucked like a soft electric piano."""
    digest = hashlib.sha256(f"{request.seed}|{request.text}".encode()).digest()
    random = np.random.default_rng(int.from_bytes(digest[:8]))
    seconds = request.music_seconds or 8.0
    length = max(1, round(seconds * SAMPLE_RATE))
    mix = np.zeros(length + SAMPLE_RATE * 3, np.float32)
    chords = _PROGRESSIONS[int(random.integers(len(_PROGRESSIONS)))]
    tonic = 45 + int(random.integers(0, 10))
    beat = 60 / float(random.uniform(72, 104))
    at, step = 0.0, 0
    while at < seconds:
        chord = chords[(step // 8) % len(chords)]
        if step % 8 == 0:
            _pluck(mix, at, tonic - 12 + chord[0], 4 * beat, 0.30)
        _pluck(mix, at, tonic + 12 + chord[int(random.integers(4))], 2 * beat, 0.17)
        at += beat / 2
        step += 1
    fade = np.minimum(1.0, np.arange(length, 0, -1, dtype=np.float32) / (SAMPLE_RATE * 0.6))
    return mix[:length] * fade / max(1.0, float(np.abs(mix).max()) / 0.8)


def encode(samples: Samples, extension: str) -> bytes:
    """Return samples as a file of the format that the extension names."""
    # libsndfile is 5 MB of shared library: a server that only draws never loads it.
    import soundfile  # noqa: PLC0415

    buffer = io.BytesIO()
    cast("Any", soundfile).write(buffer, samples, SAMPLE_RATE, format=extension.upper())
    return buffer.getvalue()


def _pluck(mix: Samples, at: float, note: float, seconds: float, loudness: float) -> None:
    start = round(at * SAMPLE_RATE)
    time = np.arange(round(seconds * SAMPLE_RATE), dtype=np.float32) / SAMPLE_RATE
    frequency = 440.0 * 2 ** ((note - 69) / 12)
    swing = 2 * np.pi * frequency * time
    tone = np.sin(swing + 0.9 * np.exp(-3 * time) * np.sin(2 * swing)) * np.exp(-2.2 * time)
    tone *= np.minimum(1.0, time * 200) * loudness  # five milliseconds of attack: no click
    end = min(start + len(tone), len(mix))
    mix[start:end] += tone[: end - start].astype(np.float32)


def _pitch(voice: str) -> float:
    if not voice:
        return 1.0
    lot = hashlib.sha256(voice.lower().encode()).digest()[0] / 255
    name = voice.lower()
    # Kokoro's am_, bm_ and MiniMax's "..._Man" are men's voices.
    deep = name[1:3] == "m_" or ("man" in name and "woman" not in name)
    return (0.78 if deep else 0.95) + 0.14 * lot


@cache
def _voice() -> Any:  # noqa: ANN401 -- hibari ships no types
    # Loading onnxruntime and the model takes a second: not before somebody wants to hear it.
    from hibari import Hibari  # noqa: PLC0415

    return cast("Any", Hibari)()
