"""Near-duplicates: the same picture in another file is near, another picture is far."""

from __future__ import annotations

import pytest
from PIL import Image, ImageOps

from asset_pipeline.defs.checks.inspection import NEAR
from asset_pipeline.media.likeness import BITS, dhash, distance
from asset_pipeline.sandbox.drawing.picture import PictureRequest, draw
from asset_pipeline_tests.support.media_samples import picture_bytes


@pytest.fixture(scope="module")
def scene() -> Image.Image:
    return draw(PictureRequest("A lighthouse on a cliff at dusk", 1, "a/b", 256, 256))


def test_the_same_picture_in_another_file_is_near(scene: Image.Image) -> None:
    """Other formats, qualities and sizes do not hide a duplicate."""
    original = dhash(picture_bytes("webp", scene, quality=80))
    for other in (
        picture_bytes("webp", scene, quality=60),
        picture_bytes("jpg", scene, quality=80),
        picture_bytes("png", scene.resize((200, 200))),
    ):
        assert distance(original, dhash(other)) <= NEAR


def test_another_picture_is_far(scene: Image.Image) -> None:
    """Another scene, and the mirrored one, differ in a good part of the bits."""
    original = dhash(picture_bytes("png", scene))
    other = draw(PictureRequest("A quiet desk with a fountain pen", 1, "a/b", 256, 256))
    assert distance(original, dhash(picture_bytes("png", other))) > 2 * NEAR
    assert distance(original, dhash(picture_bytes("png", ImageOps.mirror(scene)))) > 2 * NEAR


def test_the_distance_is_counted_in_bits() -> None:
    """Equal hashes are 0 apart, opposite ones all of their bits."""
    assert distance(5, 5) == 0
    assert distance(0, (1 << BITS) - 1) == BITS
