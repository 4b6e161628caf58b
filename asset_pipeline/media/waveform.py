"""A sound's picture: its waveform as rounded bars on a night-blue card."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from asset_pipeline.media.sounds import peaks

WIDTH, HEIGHT = 480, 144
_BARS = 72
_MARGIN = 18
_SCALE = 2  # drawn twice as large and shrunk, which smooths the edges
_CARD = (15, 23, 42)
_FROM, _TO = (56, 189, 248), (167, 139, 250)
_LABEL = (148, 163, 184)


def draw_waveform(path: Path, duration_seconds: float) -> Image.Image:
    """Draw a verified sound as a 480 x 144 picture with its duration in the corner.

    The loudest bar fills the card: a quiet clip shows its shape as well as a loud one.
    """
    heights = peaks(path, _BARS)
    loudest = max(heights) or 1.0
    picture = Image.new("RGB", (WIDTH * _SCALE, HEIGHT * _SCALE), _CARD)
    draw = ImageDraw.Draw(picture)
    pitch = (WIDTH - 2 * _MARGIN) * _SCALE / _BARS
    reach = (HEIGHT / 2 - _MARGIN) * _SCALE
    middle = HEIGHT * _SCALE / 2
    for index, height in enumerate(heights):
        left = _MARGIN * _SCALE + index * pitch
        half = max(pitch * 0.3, height / loudest * reach)
        draw.rounded_rectangle(
            (left + pitch * 0.2, middle - half, left + pitch * 0.8, middle + half),
            radius=pitch * 0.3,
            fill=_blend(index / (_BARS - 1)),
        )
    minutes, seconds = divmod(round(duration_seconds), 60)
    draw.text(
        ((WIDTH - 6) * _SCALE, (HEIGHT - 4) * _SCALE),
        f"{minutes}:{seconds:02d}",
        fill=_LABEL,
        font=ImageFont.load_default(11 * _SCALE),
        anchor="rs",
    )
    return picture.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)


def _blend(share: float) -> tuple[int, int, int]:
    red, green, blue = (
        round(start + (end - start) * share) for start, end in zip(_FROM, _TO, strict=True)
    )
    return red, green, blue
