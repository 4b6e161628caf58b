"""Small real files in every format, made on the spot."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from PIL import Image

RATE = 24_000

PICTURES = ("png", "jpg", "webp")
SOUNDS = ("wav", "mp3", "flac", "ogg", "opus")

_SOUNDFILE_NAMES = {
    "wav": ("WAV", "PCM_16"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
}


def picture(width: int = 96, height: int = 64) -> Image.Image:
    """A colourful gradient."""
    y, x = np.mgrid[0:height, 0:width]
    red, green, blue = x * 255 // width, y * 255 // height, (x + y) % 256
    return Image.fromarray(np.stack([red, green, blue], axis=-1).astype(np.uint8))


def picture_bytes(extension: str, image: Image.Image | None = None, **options: object) -> bytes:
    """A picture encoded as ``extension`` says."""
    encoded = io.BytesIO()
    (image or picture()).save(encoded, "JPEG" if extension == "jpg" else extension, **options)
    return encoded.getvalue()


def tone(seconds: float = 0.5, amplitude: float = 0.4) -> NDArray[np.float32]:
    """A throbbing 220 Hz tone at :data:`RATE`."""
    time = np.arange(round(seconds * RATE)) / RATE
    swell = 0.5 + 0.5 * np.sin(2 * np.pi * 3 * time)
    return (amplitude * np.sin(2 * np.pi * 220 * time) * swell).astype(np.float32)


def sound_bytes(extension: str, samples: NDArray[np.float32] | None = None) -> bytes:
    """A sound encoded as ``extension`` says."""
    container, subtype = _SOUNDFILE_NAMES[extension]
    encoded = io.BytesIO()
    soundfile.write(
        encoded, tone() if samples is None else samples, RATE, format=container, subtype=subtype
    )
    return encoded.getvalue()


def written(folder: Path, content: bytes, name: str = "download") -> Path:
    """Write ``content`` under a name that says nothing about it."""
    path = folder / name
    path.write_bytes(content)
    return path
