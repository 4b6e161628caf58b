"""Small pictures of clips: previews that fit an event log, and thumbnails that fit a line."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from asset_pipeline.media.pictures import in_srgb, upright
from asset_pipeline.media.probe import Examined

PREVIEW_SIDE = 320
_SMALLEST_SIDE = 16
_QUALITIES = (80, 60, 40)

# The UI of Dagster 1.13 shows Markdown in place under 1,000 characters and hides longer ones behind
# a click. Base64 takes four characters for three bytes.
THUMBNAIL_BYTES = 720
_THUMBNAIL_SIDE = 80  # a quarter of a preview: shrinking is then an average of whole blocks
_THUMBNAIL_QUALITIES = (20, 5)

# WebP's effort from 0 to 6: 1 takes a third of the default's time for a file a fifth larger.
_FAST = 1


@dataclass(frozen=True, slots=True)
class Preview:
    """What people see of a clip before they open it.

    Attributes:
        webp: At most 320 pixels wide or high.
        thumbnail: The same as small as a line of a table, at most 720 bytes of WebP.
    """

    webp: bytes
    thumbnail: bytes


def draw_preview(path: Path, examined: Examined, *, max_bytes: int = 20_000) -> Preview:
    """Draw a clip's preview: the picture itself, or the sound's waveform.

    Args:
        path: A verified clip.
        examined: What :func:`~asset_pipeline.media.probe.examine` found in it.
        max_bytes: The preview is never longer; it shrinks until it fits.

    Raises:
        ValueError: Not even a picture of 16 pixels fits into ``max_bytes``.
    """
    if examined.picture is not None:
        picture = _shrunk(in_srgb(upright(examined.picture)), PREVIEW_SIDE)
    else:
        from asset_pipeline.media.waveform import draw_waveform  # noqa: PLC0415 -- NumPy, for sound alone

        picture = draw_waveform(path, examined.info.duration_seconds or 0.0)
    webp = _fitted(picture, _QUALITIES, max_bytes)
    # Size matters more than sharpness to an eye that looks for "which one was it", so quality is
    # given up before size.
    small = _shrunk(picture, _THUMBNAIL_SIDE)
    return Preview(webp, _fitted(small, _THUMBNAIL_QUALITIES, THUMBNAIL_BYTES))


def data_uri(webp: bytes) -> str:
    """Return a WebP picture as a ``data:`` URI, for Markdown and HTML."""
    return f"data:image/webp;base64,{base64.b64encode(webp).decode('ascii')}"


def _fitted(picture: Image.Image, qualities: Sequence[int], max_bytes: int) -> bytes:
    """Encode a picture, worse and then smaller, until it fits."""
    while max(picture.size) >= _SMALLEST_SIDE:
        for quality in qualities:
            encoded = io.BytesIO()
            picture.save(encoded, "WEBP", quality=quality, method=_FAST)
            if encoded.tell() <= max_bytes:
                return encoded.getvalue()
        picture = _shrunk(picture, max(picture.size) * 4 // 5)
    raise ValueError(f"no picture of {_SMALLEST_SIDE} pixels fits into {max_bytes} bytes")


def _shrunk(picture: Image.Image, side: int) -> Image.Image:
    # Hamming takes half of Lanczos' time and is as sharp to the eye at this size.
    picture.thumbnail((side, side), Image.Resampling.HAMMING)
    return picture
