"""Renditions of pictures: the size asked for, in every format, with nothing in them but pixels."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.media.image_renditions import ready_to_render, render_picture
from asset_pipeline.media.probe import examine
from asset_pipeline.prompts.rendition_specs import ImageRendition, PictureFormat
from asset_pipeline_tests.support import media_samples

FORMATS: tuple[PictureFormat, ...] = ("webp", "avif", "jpg")


def _ready(folder: Path, content: bytes) -> Image.Image:
    picture = examine(media_samples.written(folder, content), Kind.IMAGE).picture
    assert picture is not None
    return ready_to_render(picture)


@pytest.mark.parametrize("form", FORMATS)
def test_a_rendition_is_what_was_asked_for(tmp_path: Path, form: PictureFormat) -> None:
    """Longest side, proportions, format and hash are as its MediaInfo says."""
    picture = _ready(tmp_path, media_samples.picture_bytes("png", media_samples.picture(600, 400)))
    target = tmp_path / "out"
    info = render_picture(picture, target, ImageRendition(format=form, max_side=300))
    assert (info.width, info.height, info.extension) == (300, 200, form)
    assert info.bytes == target.stat().st_size
    with Image.open(target) as made:
        assert made.size == (300, 200)
        assert made.get_format_mimetype() == info.mime
    assert picture.size == (600, 400), "the decoded picture serves the next rendition too"


def test_a_small_picture_is_not_blown_up(tmp_path: Path) -> None:
    """There is nothing to gain from pixels that the model never drew."""
    picture = _ready(tmp_path, media_samples.picture_bytes("png"))
    info = render_picture(picture, tmp_path / "x", ImageRendition(format="webp", max_side=4096))
    assert (info.width, info.height) == (96, 64)


@pytest.mark.parametrize("form", FORMATS)
def test_nothing_but_pixels_is_left(tmp_path: Path, form: PictureFormat) -> None:
    """Camera data is gone, and the picture stands upright as it asked for."""
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    exif[0x010F] = "A camera"
    content = media_samples.picture_bytes("jpg", media_samples.picture(200, 100), exif=exif)
    picture = _ready(tmp_path, content)
    render_picture(picture, tmp_path / "out", ImageRendition(format=form, max_side=100))
    with Image.open(tmp_path / "out") as made:
        assert made.size == (50, 100)
        assert not {"exif", "icc_profile", "comment", "xmp"} & set(made.info)


@pytest.mark.parametrize(("form", "corner"), [("webp", 0), ("avif", 0), ("jpg", 255)])
def test_transparency_is_kept_or_shown_on_white(
    tmp_path: Path, form: PictureFormat, corner: int
) -> None:
    """JPEG has no transparency: what was see-through is white, never black."""
    image = media_samples.picture(64, 64).convert("RGBA")
    image.paste((0, 0, 0, 0), (0, 0, 32, 32))
    picture = _ready(tmp_path, media_samples.picture_bytes("png", image))
    render_picture(picture, tmp_path / "out", ImageRendition(format=form, max_side=64))
    with Image.open(tmp_path / "out") as made:
        pixel = made.convert("RGBA").getpixel((4, 4))
    assert isinstance(pixel, tuple)
    if form == "jpg":
        assert min(pixel[:3]) > 240
    else:
        assert pixel[3] == corner


def test_quality_decides_the_size(tmp_path: Path) -> None:
    """The setting reaches each encoder."""
    picture = _ready(tmp_path, media_samples.picture_bytes("png", media_samples.picture(400, 300)))
    for form in FORMATS:
        low, high = (
            render_picture(
                picture, tmp_path / "x", ImageRendition(format=form, max_side=400, quality=quality)
            ).bytes
            for quality in (20, 95)
        )
        assert low < high, form
