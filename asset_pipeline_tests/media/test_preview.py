from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.media.preview import THUMBNAIL_BYTES, data_uri, draw_preview
from asset_pipeline.media.probe import examine
from asset_pipeline_tests.support import media_samples

SECRET = b"Kilroy was here"


def _noise(side: int = 512) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (side, side, 3), np.uint8))


def _opened(webp: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(webp))
    image.load()
    return image


@pytest.mark.parametrize("extension", media_samples.PICTURES)
def test_preview_of_a_picture(tmp_path: Path, extension: str) -> None:
    """A picture's preview is a WebP of its own shape, at most 320 pixels, under 20 kB."""
    content = media_samples.picture_bytes(extension, media_samples.picture(1200, 600))
    path = media_samples.written(tmp_path, content)
    webp = draw_preview(path, examine(path, Kind.IMAGE)).webp
    assert len(webp) <= 20_000
    assert (_opened(webp).format, _opened(webp).size) == ("WEBP", (320, 160))


@pytest.mark.parametrize("budget", [20_000, 3_000, 400])
def test_preview_budget_holds_for_noise(tmp_path: Path, budget: int) -> None:
    """The budget holds even for the picture that compresses worst."""
    path = media_samples.written(tmp_path, media_samples.picture_bytes("png", _noise()))
    assert len(draw_preview(path, examine(path, Kind.IMAGE), max_bytes=budget).webp) <= budget


def test_impossible_budget(tmp_path: Path) -> None:
    """A budget that nothing fits into is the caller's error, not an endless loop."""
    path = media_samples.written(tmp_path, media_samples.picture_bytes("png", _noise(64)))
    with pytest.raises(ValueError, match="30 bytes"):
        draw_preview(path, examine(path, Kind.IMAGE), max_bytes=30)


@pytest.mark.parametrize("extension", media_samples.SOUNDS)
def test_waveform_shows_the_sound(tmp_path: Path, extension: str) -> None:
    """A sound's preview is a waveform: tall where it is loud, flat where it is silent."""
    samples_then_silence = np.concatenate(
        [media_samples.tone(1.0), np.zeros(media_samples.RATE, np.float32)]
    )
    path = media_samples.written(
        tmp_path, media_samples.sound_bytes(extension, samples_then_silence)
    )
    webp = draw_preview(path, examine(path, Kind.AUDIO)).webp
    assert len(webp) <= 20_000
    inked = np.asarray(_opened(webp).convert("L")).max(axis=1, initial=0)
    assert inked.shape == (144,)
    columns = (np.asarray(_opened(webp).convert("L")) > 90)[:120].sum(axis=0)
    assert columns[20:220].max() > 60
    assert columns[270:460].max() < 20


def test_data_uri_round_trip() -> None:
    """A data URI holds exactly the bytes it was made from."""
    head, _, payload = data_uri(b"RIFF1234").partition(",")
    assert head == "data:image/webp;base64"
    assert base64.b64decode(payload) == b"RIFF1234"


def test_no_metadata_leaks(tmp_path: Path) -> None:
    """Camera data, comments, XMP and profiles of the original are not in its preview."""
    exif = Image.Exif()
    exif[0x010E] = SECRET.decode()
    exif[0x0112] = 6
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    content = media_samples.picture_bytes(
        "jpg", exif=exif, comment=SECRET, xmp=b"<x>" + SECRET + b"</x>", icc_profile=profile
    )
    assert content.count(SECRET) == 3
    path = media_samples.written(tmp_path, content)
    preview = draw_preview(path, examine(path, Kind.IMAGE)).webp
    assert SECRET not in preview
    shown = _opened(preview)
    assert not {"exif", "icc_profile", "comment", "xmp"} & set(shown.info)
    assert shown.size == (64, 96), "turned upright instead of tagged"


def test_an_unreadable_profile_keeps_the_picture(tmp_path: Path) -> None:
    """A damaged colour profile costs nothing but the conversion."""
    path = media_samples.written(
        tmp_path, media_samples.picture_bytes("png", icc_profile=b"nonsense")
    )
    assert _opened(draw_preview(path, examine(path, Kind.IMAGE)).webp).size == (96, 64)


@pytest.mark.parametrize("kind", Kind)
def test_a_thumbnail_fits_whatever_it_shows(tmp_path: Path, kind: Kind) -> None:
    """A thumbnail never passes its limit: for noise, nor for the waveform of it."""
    noise = np.random.default_rng(0).uniform(-1, 1, media_samples.RATE).astype(np.float32)
    content = (
        media_samples.picture_bytes("png", _noise(384))
        if kind is Kind.IMAGE
        else media_samples.sound_bytes("wav", noise)
    )
    path = media_samples.written(tmp_path, content)
    thumbnail = draw_preview(path, examine(path, kind)).thumbnail
    assert len(thumbnail) <= THUMBNAIL_BYTES
    assert 16 <= max(_opened(thumbnail).size) <= 80
