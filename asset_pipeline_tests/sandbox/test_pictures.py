"""Pictures: right size and format, varied, repeatable, quick."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from PIL import Image, ImageChops, ImageStat

from asset_pipeline.sandbox.drawing.picture import PictureRequest, draw, picture
from asset_pipeline.sandbox.drawing.sizes import size_of
from asset_pipeline.sandbox.drawing.subjects import _BY_WORD
from asset_pipeline_tests.sandbox.conftest import SMALL, Running

REQUEST = PictureRequest("A cup of tea", 1, "a/b", 256, 256)


def _difference(one: Image.Image, other: Image.Image) -> float:
    return sum(ImageStat.Stat(ImageChops.difference(one, other)).mean) / 3


@pytest.mark.parametrize(
    ("inputs", "size", "form"),
    [
        ({"aspect_ratio": "16:9", "output_format": "webp"}, (1344, 768), "WEBP"),
        ({"aspect_ratio": "9:16", "output_format": "jpg", **SMALL}, (384, 672), "JPEG"),
        ({"output_format": "png", **SMALL}, (512, 512), "PNG"),
    ],
)
def test_delivered_pictures(
    instant: Running, inputs: dict[str, str], size: tuple[int, int], form: str
) -> None:
    """What is delivered decodes, in the format and at the ratio and megapixels asked for."""
    url = instant.create(**inputs)["output"][0]
    reply = instant.http.get(url)
    assert reply.headers["content-type"] == f"image/{form.lower()}"
    image = Image.open(io.BytesIO(reply.content))
    image.load()
    assert (image.size, image.format) == (size, form)


@pytest.mark.parametrize(
    ("inputs", "size"),
    [
        ({"width": 640, "height": 480}, (640, 480)),
        ({"aspect_ratio": "10:16"}, (800, 1280)),
        ({"aspect_ratio": "nonsense"}, (1024, 1024)),
        ({"width": 9999, "height": 1}, (2048, 64)),
    ],
)
def test_sizes(inputs: dict[str, object], size: tuple[int, int]) -> None:
    """Width and height count where there is no ratio; any ratio works; all within bounds."""
    assert size_of(inputs.get) == size  # type: ignore[arg-type]


def test_the_same_request_gives_the_same_picture() -> None:
    """Text, seed and model decide every byte."""
    assert picture(REQUEST) == picture(REQUEST)


def test_seeds_prompts_and_models_differ() -> None:
    """Another seed, prompt or model is visibly another picture."""
    first = draw(REQUEST)
    others = [replace(REQUEST, seed=seed) for seed in range(2, 6)]
    others += [replace(REQUEST, text="A sailing ship"), replace(REQUEST, model="c/d")]
    assert all(_difference(first, draw(other)) > 3 for other in others)


def test_every_subject_can_be_drawn() -> None:
    """Whatever the words name is drawn, on any canvas, and no picture is blank."""
    words = {meanings[0]: word for word, meanings in _BY_WORD.items()}
    for number, word in enumerate(words.values()):
        size = (96, 240) if number % 2 else (240, 96)
        image = draw(PictureRequest(word, number, "a/b", *size))
        assert max(ImageStat.Stat(image).stddev) > 8, word


@pytest.mark.parametrize(
    "word",
    ["cover", "logo", "pattern", "portrait", "abstract", "valley", "city", "sea", "table"],
)
def test_every_scene_can_be_drawn(word: str) -> None:
    """Every layout holds on narrow, wide and tiny canvases."""
    for seed, size in enumerate(((96, 240), (240, 96), (64, 64), (160, 160))):
        image = draw(PictureRequest(f"{word} of a lantern", seed, "a/b", *size))
        assert max(ImageStat.Stat(image).stddev) > 8, size


@pytest.mark.parametrize(
    "text", ["", "日本語のカバー", "x" * 2000, "naïve café — “quotes”", "\n\t"]
)
def test_any_text_can_be_drawn(text: str) -> None:
    """Captions cut what does not fit and survive what the font does not have."""
    assert draw(replace(REQUEST, text=text)).size == (256, 256)


def test_colours_follow_the_words() -> None:
    """A navy picture is bluer than one of autumn."""
    navy = ImageStat.Stat(draw(replace(REQUEST, text="navy"))).mean
    autumn = ImageStat.Stat(draw(replace(REQUEST, text="autumn"))).mean
    assert navy[2] - navy[0] > autumn[2] - autumn[0] + 30


def test_variants_of_one_prediction_differ(instant: Running) -> None:
    """Several outputs of one prediction are several pictures."""
    urls = instant.create(num_outputs=2, seed=5, **SMALL)["output"]
    one, two = (instant.http.get(url).content for url in urls)
    assert one != two
