"""Verifying a clip before it counts as delivered: the step between a download and the store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.files import sha256_of
from asset_pipeline.media.bad_media import BadMediaError, BadMediaReason
from asset_pipeline.media.containers import is_complete
from asset_pipeline.media.formats import HEAD_BYTES, MediaFormat, describe, sniff
from asset_pipeline.media.pictures import decode_picture


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """What a verified file is.

    Attributes:
        kind: Picture or sound.
        mime: The type by content, such as ``image/webp``.
        extension: The file name's ending, without a dot.
        bytes: Length in bytes.
        sha256: SHA-256 of the content, 64 hex digits.
        width: Pixels as shown (after EXIF orientation); None for sound.
        height: Pixels as shown; None for sound.
        duration_seconds: Decoded length; None for pictures.
    """

    kind: Kind
    mime: str
    extension: str
    bytes: int
    sha256: str
    width: int | None
    height: int | None
    duration_seconds: float | None


@dataclass(frozen=True, slots=True)
class Examined:
    """A verified file, and its picture while it is decoded.

    Attributes:
        info: What the file is.
        picture: The decoded first frame of a picture, as stored; None for sound.
    """

    info: MediaInfo
    picture: Image.Image | None


def verify(path: Path, kind: Kind) -> MediaInfo:
    """Decode a file in full and refuse everything that is no deliverable clip of its kind.

    Blocks for the time of the decoding (30 ms for a megapixel): call it in a thread.

    Args:
        path: The file; its name plays no part.
        kind: What was due.

    Raises:
        BadMediaError: The file is empty, of another type, cut short, damaged, too large, a
            picture of one colour, or silent.
        OSError: The file cannot be read at all.
    """
    return examine(path, kind).info


def examine(path: Path, kind: Kind) -> Examined:
    """Verify a file as :func:`verify` does, and keep its pixels for whoever draws them next."""
    size = path.stat().st_size
    media_format = _identify(path, size, kind)
    picture = width = height = duration_seconds = None
    if kind is Kind.IMAGE:
        decoded = decode_picture(path, media_format)
        picture, width, height = decoded.first_frame, decoded.width, decoded.height
    else:
        from asset_pipeline.media import sounds  # noqa: PLC0415 -- NumPy and libsndfile, for sound alone

        duration_seconds = sounds.check_sound(path)
    info = MediaInfo(
        kind=kind,
        mime=media_format.mime,
        extension=media_format.extension,
        bytes=size,
        sha256=sha256_of(path),
        width=width,
        height=height,
        duration_seconds=duration_seconds,
    )
    return Examined(info, picture)


def _identify(path: Path, size: int, kind: Kind) -> MediaFormat:
    if size == 0:
        raise BadMediaError(f"{path.name} is empty.", BadMediaReason.EMPTY)
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        media_format = sniff(head)
        if media_format is None or media_format.kind is not kind:
            due = "a picture" if kind is Kind.IMAGE else "sound"
            raise BadMediaError(
                f"{path.name} is {describe(head)} where {due} was due.", BadMediaReason.WRONG_TYPE
            )
        if not is_complete(file, media_format, size):
            raise BadMediaError(
                f"{path.name} is a {media_format.name} file that was cut short.",
                BadMediaReason.TRUNCATED,
            )
    return media_format
