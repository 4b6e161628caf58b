"""Small pictures of clips: previews that fit an event log, and renditions for the web."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

from PIL import Image

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.files import atomic_path
from asset_pipeline.media.formats import HEAD_BYTES, JPEG, WEBP, MediaFormat, sniff
from asset_pipeline.media.pictures import in_srgb, open_picture, upright
from asset_pipeline.media.probe import Examined, MediaInfo, sha256_of

PREVIEW_SIDE = 320
_SMALLEST_SIDE = 16
_QUALITIES = (80, 60, 40)
_RENDITION_QUALITY = 82
_THUMBNAIL_SIDE = 80  # a quarter of a preview: shrinking is then an average of whole blocks
_THUMBNAIL_QUALITIES = (20, 5)

# WebP's effort from 0 to 6: 1 takes a third of the default's time for a file a fifth larger.
_FAST = 1


class RenditionFormat(StrEnum):
    """What a rendition can be written as."""

    WEBP = "webp"
    JPEG = "jpg"

    @property
    def media_format(self) -> MediaFormat:
        """The format's MIME type and extension."""
        return WEBP if self is RenditionFormat.WEBP else JPEG


def preview_webp(path: Path, examined: Examined, *, max_bytes: int = 20_000) -> bytes:
    """Draw a clip's preview: the picture at most 320 pixels wide or high, or the sound's waveform.

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
    return _fitted(picture, _QUALITIES, max_bytes)


def thumbnail_webp(preview: bytes, *, max_bytes: int) -> bytes:
    """Draw a preview again so small that it fits where only some hundred characters do.

    Size matters more than sharpness to an eye that looks for "which one was it", so quality is
    given up before size.

    Args:
        preview: From :func:`preview_webp`.
        max_bytes: The thumbnail is never longer.

    Raises:
        ValueError: Not even a picture of 16 pixels fits into ``max_bytes``.
    """
    with Image.open(io.BytesIO(preview)) as image:
        picture = _shrunk(image.convert("RGB"), _THUMBNAIL_SIDE)
    return _fitted(picture, _THUMBNAIL_QUALITIES, max_bytes)


def data_uri(webp: bytes) -> str:
    """Return a WebP picture as a ``data:`` URI, for Markdown and HTML."""
    return f"data:image/webp;base64,{base64.b64encode(webp).decode('ascii')}"


def render_rendition(
    path: Path,
    target: Path,
    *,
    max_side: int,
    format: RenditionFormat,  # noqa: A002 -- the word of the domain, and keyword-only
) -> MediaInfo:
    """Write a smaller copy of a picture: upright, in sRGB, without any metadata.

    Args:
        path: A verified picture.
        target: The file to write, whole or not at all.
        max_side: Longest side in pixels; a smaller picture is not blown up.
        format: WebP keeps transparency, JPEG shows it on white.
    """
    picture = _load(path, max_side)
    if format is RenditionFormat.JPEG:
        picture = _on_white(picture)
    with atomic_path(target) as temporary:
        picture.save(
            temporary, format.media_format.name.upper(), quality=_RENDITION_QUALITY, optimize=True
        )
    return MediaInfo(
        kind=Kind.IMAGE,
        mime=format.media_format.mime,
        extension=format.media_format.extension,
        bytes=target.stat().st_size,
        sha256=sha256_of(target),
        width=picture.width,
        height=picture.height,
        duration_seconds=None,
    )


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


def _load(path: Path, max_side: int) -> Image.Image:
    with path.open("rb") as file:
        media_format = sniff(file.read(HEAD_BYTES))
    if media_format is None or media_format.kind is not Kind.IMAGE:
        raise ValueError(f"{path.name} is no verified picture")
    with open_picture(path, media_format) as image:
        # JPEG alone: decode at the next larger eighth, four times faster for a thumbnail.
        image.draft(None, (2 * max_side, 2 * max_side))
        picture = in_srgb(upright(image))
    picture.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    return picture


def _on_white(picture: Image.Image) -> Image.Image:
    if picture.mode != "RGBA":
        return picture
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture).convert("RGB")
