"""Renditions of pictures: one decoded original to files of other sizes and formats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.files import atomic_path, sha256_of
from asset_pipeline.media.formats import JPEG, WEBP, MediaFormat
from asset_pipeline.media.pictures import in_srgb, upright
from asset_pipeline.media.probe import MediaInfo
from asset_pipeline.prompts.rendition_specs import ImageRendition

AVIF = MediaFormat("AVIF", Kind.IMAGE, "image/avif", "avif")

_FORMATS = {"webp": WEBP, "avif": AVIF, "jpg": JPEG}

# From here on JPEG keeps colour at full resolution: somebody who asks for so much prints it, and
# halved colour frays red text.
_PRINT_QUALITY = 90

# A megapixel takes 1.4 s at AVIF's default speed of 6, 0.25 s at 8 for a file an eighth larger.
_AVIF_SPEED = 8

# How much larger than wanted a picture may be when Lanczos takes over from averaging; 3 cannot be
# told from Lanczos alone and halves the time of a thumbnail.
_REDUCING_GAP = 3.0


def ready_to_render(first_frame: Image.Image) -> Image.Image:
    """Return a decoded picture as renditions need it: upright, in sRGB, without metadata."""
    return in_srgb(upright(first_frame))


def render_picture(picture: Image.Image, target: Path, setting: ImageRendition) -> MediaInfo:
    """Write one rendition.

    Args:
        picture: From :func:`ready_to_render`; it is left as it is, so that one decoding serves
            all renditions.
        target: The file to write, whole or not at all. It is not synced: a store does that.
        setting: Its format and size. A smaller picture is not blown up. WebP and AVIF keep
            transparency, JPEG shows it on white.
    """
    smaller = _shrunk(picture, setting.max_side)
    if setting.format == "jpg":
        smaller = _on_white(smaller)
    media_format = _FORMATS[setting.format]
    with atomic_path(target, durable=False) as temporary:
        smaller.save(temporary, media_format.name.upper(), **_options(setting))
    return MediaInfo(
        kind=Kind.IMAGE,
        mime=media_format.mime,
        extension=media_format.extension,
        bytes=target.stat().st_size,
        sha256=sha256_of(target),
        width=smaller.width,
        height=smaller.height,
        duration_seconds=None,
    )


def _shrunk(picture: Image.Image, max_side: int) -> Image.Image:
    longest = max(picture.size)
    if longest <= max_side:
        return picture
    width, height = (max(1, round(side * max_side / longest)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=_REDUCING_GAP)


def _on_white(picture: Image.Image) -> Image.Image:
    if picture.mode != "RGBA":
        return picture
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture).convert("RGB")


def _options(setting: ImageRendition) -> dict[str, Any]:
    match setting.format:
        case "webp":
            return {"quality": setting.quality}
        case "avif":
            # One thread: how many pictures are worked on at once is the caller's to bound.
            return {"quality": setting.quality, "speed": _AVIF_SPEED, "max_threads": 1}
        case "jpg":
            full_colour = setting.quality >= _PRINT_QUALITY
            return {
                "quality": setting.quality,
                "optimize": True,
                "progressive": True,
                "subsampling": "4:4:4" if full_colour else "4:2:0",
            }
