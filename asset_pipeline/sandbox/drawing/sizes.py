"""The size in pixels of a picture, from the inputs that image models take."""

from __future__ import annotations

import math
from collections.abc import Callable

from pydantic import JsonValue

# Flux's own sizes for one megapixel.
_SIZES = {
    "1:1": (1024, 1024),
    "16:9": (1344, 768),
    "21:9": (1536, 640),
    "3:2": (1216, 832),
    "2:3": (832, 1216),
    "4:5": (896, 1088),
    "5:4": (1088, 896),
    "3:4": (896, 1152),
    "4:3": (1152, 896),
    "9:16": (768, 1344),
    "9:21": (640, 1536),
}
_LEAST, _MOST, _STEP = 64, 2048, 16


def size_of(value_of: Callable[[str], JsonValue]) -> tuple[int, int]:
    """Return width and height in pixels.

    Args:
        value_of: Returns an input by name, the provider's default if it was not sent.
    """
    width, height = value_of("width"), value_of("height")
    ratio = value_of("aspect_ratio")
    if isinstance(width, int) and isinstance(height, int) and ratio in (None, "custom"):
        return _clamped(width), _clamped(height)
    megapixels = value_of("megapixels")
    scale = math.sqrt(_number(megapixels)) if megapixels is not None else 1.0
    base = _SIZES.get(str(ratio)) or _from_ratio(str(ratio))
    return _clamped(base[0] * scale), _clamped(base[1] * scale)


def _from_ratio(ratio: str) -> tuple[int, int]:
    across, _, down = ratio.partition(":")
    try:
        proportion = float(across) / float(down)
    except (ValueError, ZeroDivisionError):
        return _SIZES["1:1"]
    if not math.isfinite(proportion):
        return _SIZES["1:1"]
    proportion = min(max(proportion, 0.25), 4.0)
    side = 1024 * math.sqrt(proportion)
    return round(side / 32) * 32, round(side / proportion / 32) * 32


def _number(value: JsonValue) -> float:
    try:
        number = float(str(value))
    except ValueError:
        return 1.0
    return min(max(number, 0.01), 4.0) if math.isfinite(number) else 1.0


def _clamped(side: float) -> int:
    return round(min(max(side, _LEAST), _MOST) / _STEP) * _STEP
