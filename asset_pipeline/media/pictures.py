"""Decoding pictures in full, turned upright and in sRGB; detecting blank ones."""

from __future__ import annotations

import contextlib
import io
from bisect import bisect_left
from collections.abc import Generator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import cast

from PIL import ExifTags, Image, ImageCms, ImageSequence

from asset_pipeline.media.bad_media import BadMediaError, BadMediaReason
from asset_pipeline.media.formats import JPEG, PNG, MediaFormat
from asset_pipeline.media.jpeg import MOST_SCANS, count_scans

MAX_PIXELS = 8192 * 8192
"""Width x height x frames that are decoded: the largest upscale that models sell, 200 MB in RGB."""

MAX_FRAMES = 5_000
"""Frames are looked at one by one, some 100 us each however small: a minute at 80 a second."""

# A scan takes some 5 ns a pixel however little it changes; encoders write ten, the longest scripts
# for them twenty.
_MAX_SCANNED = 20 * MAX_PIXELS

# A picture is blank when in every channel all but one pixel in 10,000 lie within 4 of 255 levels
# around the median. Pixels outside, in 10,000, as measured on a megapixel:
#   refused: black or white in WebP or JPEG at any quality 0; any single colour in JPEG 0, in WebP
#     of quality 75 up to 0.03; sensor-like noise of sigma 1 on grey 0.1; 100 lone white pixels 0.95
#   accepted: 200 lone white pixels 1.9; two words of 12-pixel text on white 2.9; a glow of 6
#     levels on black 109; a black-to-dark gradient over 10 levels 996
# Known gap: a saturated single colour in WebP of quality 30 or less is so noisy that it passes.
BLANK_LEVELS = 4
BLANK_SHARE = 1e-4

_LEVELS = 256
_SECOND = 2

# What undoes each EXIF orientation.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ON_THEIR_SIDE = {5, 6, 7, 8}  # orientations that swap width and height


@contextlib.contextmanager
def open_picture(path: Path, media_format: MediaFormat) -> Generator[Image.Image]:
    """Open a picture with the decoder of its format and no other; pixels are read later.

    Everything that the decoder raises inside the ``with`` block becomes a :class:`BadMediaError`.

    Raises:
        BadMediaError: The picture is larger than :data:`MAX_PIXELS`, cut short, or damaged.
    """
    try:
        with Image.open(path, formats=[media_format.name.upper()]) as image:
            _refuse_large(path, image.width * image.height)
            yield image
    except Image.DecompressionBombError as error:
        raise BadMediaError(f"{path.name}: {error}", BadMediaReason.TOO_LARGE) from error
    except (BadMediaError, MemoryError):
        raise
    except Exception as error:
        # Codecs raise what their authors thought of, such as struct.error for odd metadata.
        reason = (
            BadMediaReason.TRUNCATED if "truncated" in str(error) else BadMediaReason.UNDECODABLE
        )
        raise BadMediaError(
            f"{path.name} is a {media_format.name} picture that cannot be decoded: {error}.", reason
        ) from error


@dataclass(frozen=True, slots=True)
class DecodedPicture:
    """A picture that was decoded in full and shows something.

    Attributes:
        width: Pixels as a viewer shows them (after EXIF orientation).
        height: Pixels as a viewer shows them.
        first_frame: Its pixels as stored: neither turned nor converted.
    """

    width: int
    height: int
    first_frame: Image.Image


def decode_picture(path: Path, media_format: MediaFormat) -> DecodedPicture:
    """Decode every pixel of every frame and refuse a picture that shows nothing.

    Raises:
        BadMediaError: The picture is too large, cut short, damaged or blank.
    """
    if media_format is PNG:
        # Decoding alone passes over wrong checksums.
        with open_picture(path, media_format) as image:
            image.verify()
    scans = count_scans(path) if media_format is JPEG else 1
    with open_picture(path, media_format) as image:
        _refuse_scans(path, scans, image.width * image.height)
        first, blank = image, True
        for number, frame in enumerate(ImageSequence.Iterator(image), start=1):
            _refuse_large(path, number * image.width * image.height)
            _refuse_frames(path, number)
            if number == _SECOND:
                # The next frame is decoded into the same pixels.
                image.seek(0)
                first = image.copy()
                image.seek(1)
            frame.load()
            blank = blank and _is_blank(frame)
        width, height = first.size
        if _orientation(first) in _ON_THEIR_SIDE:
            width, height = height, width
    if blank:
        raise BadMediaError(f"{path.name} is a picture of one single colour.", BadMediaReason.BLANK)
    return DecodedPicture(width, height, first)


def upright(image: Image.Image) -> Image.Image:
    """Return a copy of the picture, turned as its EXIF orientation asks."""
    # Pillow's own function writes all the metadata anew, which fails for some that viewers bear.
    turn = _TURNS.get(_orientation(image))
    return image.copy() if turn is None else image.transpose(turn)


def _orientation(image: Image.Image) -> int:
    try:
        found: object = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # noqa: BLE001 -- metadata that can't be read turns nothing
        return 1
    return found if isinstance(found, int) else 1


def in_srgb(image: Image.Image) -> Image.Image:
    """Return the picture as RGB or RGBA in sRGB, with no metadata left in it.

    Renditions drop the colour profile, so its colours are converted first. A picture that needs
    no conversion is not copied: it loses its metadata itself.
    """
    profile = cast("bytes | None", image.info.get("icc_profile"))
    plain = _in_eight_bits(image)
    if profile and image.mode in {"RGB", "RGBA"}:
        # An unreadable profile is no reason to lose the picture: its numbers stay as they are.
        with contextlib.suppress(ImageCms.PyCMSError, OSError):
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType] -- Pillow leaves the C object untyped
            plain = ImageCms.profileToProfile(plain, source, srgb) or plain
    plain.info = {}
    return plain


def _in_eight_bits(image: Image.Image) -> Image.Image:
    """Convert any mode to RGB or RGBA; a picture that is so already is returned itself."""
    if image.mode.startswith("I"):
        # 16-bit grey (depth maps): a plain conversion would clip all above 255 to white.
        return (
            image.convert("I")
            .point(lambda level: level * (1 / _LEVELS))
            .convert("L")
            .convert("RGB")
        )
    mode = "RGBA" if image.has_transparency_data else "RGB"
    return image if image.mode == mode else image.convert(mode)


def _is_blank(image: Image.Image) -> bool:
    pixels = _in_eight_bits(image)
    if pixels.mode == "RGBA":
        # Colours under full transparency are not seen: weighting by alpha blackens them.
        pixels = pixels.convert("RGBa")
    histogram = pixels.histogram()
    allowed = BLANK_SHARE * pixels.width * pixels.height
    return all(
        _outside_median(histogram[start : start + _LEVELS]) <= allowed
        for start in range(0, len(histogram), _LEVELS)
    )


def _outside_median(counts: list[int]) -> int:
    """Return how many pixels of a channel lie more than :data:`BLANK_LEVELS` off the median."""
    median = bisect_left(list(accumulate(counts)), sum(counts) / 2)
    near = counts[max(0, median - BLANK_LEVELS) : median + BLANK_LEVELS + 1]
    return sum(counts) - sum(near)


def _refuse_large(path: Path, pixels: int) -> None:
    if pixels > MAX_PIXELS:
        raise BadMediaError(
            f"{path.name} has {pixels:,} pixels; at most {MAX_PIXELS:,} are decoded.",
            BadMediaReason.TOO_LARGE,
        )


def _refuse_frames(path: Path, frames: int) -> None:
    if frames > MAX_FRAMES:
        raise BadMediaError(
            f"{path.name} has more than {MAX_FRAMES:,} frames.", BadMediaReason.TOO_LARGE
        )


def _refuse_scans(path: Path, scans: int, pixels: int) -> None:
    if scans > MOST_SCANS or scans * pixels > max(_MAX_SCANNED, pixels):
        raise BadMediaError(
            f"{path.name} is drawn over in too many scans to decode.", BadMediaReason.TOO_LARGE
        )
