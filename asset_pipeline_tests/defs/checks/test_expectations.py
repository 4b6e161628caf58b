"""What a clip should be like by what was asked for."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import JsonValue

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.catalog.reader import load_catalog
from asset_pipeline.defs.checks.expectations import cost_objection, size_objection
from asset_pipeline.ledger.clip_inspection import AskedClip
from asset_pipeline.ledger.records import Clip
from asset_pipeline.money import MicroUsd

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SCHNELL = "black-forest-labs/flux-schnell"


def _asked(
    model: str = SCHNELL,
    inputs: dict[str, JsonValue] | None = None,
    size: tuple[int, int] | None = (1024, 1024),
    seconds: float | None = None,
    cost: int = 3000,
    *,
    reused: bool = False,
) -> AskedClip:
    width, height = size or (None, None)
    clip = Clip(
        clip_id="c",
        kind=Kind.IMAGE if size else Kind.AUDIO,
        prompt_id="p",
        collection="k",
        variant=1,
        model=model,
        generation_hash="h",
        intent_id="i",
        prediction_id="x",
        run_id="r",
        object_key="image/ab/ab.webp",
        object_uri="file:///ab.webp",
        sha256="ab" * 32,
        bytes=1,
        mime="image/webp",
        width=width,
        height=height,
        duration_seconds=seconds,
        cost_microusd=MicroUsd(cost),
        created_at=NOW,
        superseded_at=None,
    )
    return AskedClip(clip, {"prompt": "x"} | (inputs or {}), NOW, reused=reused)


@pytest.mark.parametrize(
    ("inputs", "size"),
    [
        ({}, (1024, 1024)),
        ({"aspect_ratio": "16:9"}, (1344, 768)),
        ({"aspect_ratio": "21:9"}, (1536, 640)),
        ({"aspect_ratio": "4:5", "megapixels": "0.25"}, (448, 544)),
        ({"aspect_ratio": "match_input_image"}, (640, 480)),
    ],
)
def test_the_sizes_that_models_give_are_accepted(
    inputs: dict[str, JsonValue], size: tuple[int, int]
) -> None:
    """A model's own rounding is no flaw, and what can't be known is not judged."""
    assert size_objection(_asked(inputs=inputs, size=size), load_catalog(None)) is None


@pytest.mark.parametrize(
    ("model", "inputs", "size", "said"),
    [
        (SCHNELL, {}, (1344, 768), "1:1 was asked for"),
        (SCHNELL, {"aspect_ratio": "16:9"}, (768, 1344), "it is 768 x 1344 where 16:9"),
        (SCHNELL, {"megapixels": "1"}, (512, 512), "1 megapixels were asked for"),
        ("stability-ai/sdxl", {"width": 1024, "height": 768}, (768, 768), "1024 x 768"),
    ],
)
def test_another_size_than_asked_is_said(
    model: str, inputs: dict[str, JsonValue], size: tuple[int, int], said: str
) -> None:
    """The objection names what is and what was asked for."""
    objection = size_objection(_asked(model, inputs, size), load_catalog(None))
    assert objection is not None
    assert said in objection


def test_a_sound_has_the_length_that_was_asked_for() -> None:
    """Three seconds of music where eight were asked for is half a bar of it."""
    asked = _asked("meta/musicgen", {"duration": 8}, size=None, seconds=3.0)
    assert size_objection(asked, load_catalog(None)) is not None
    asked = _asked("meta/musicgen", {"duration": 8}, size=None, seconds=7.9)
    assert size_objection(asked, load_catalog(None)) is None


@pytest.mark.parametrize(("cost", "fits"), [(3000, True), (0, False), (6000, False), (2500, False)])
def test_a_price_by_the_unit_is_exact(cost: int, *, fits: bool) -> None:
    """A picture costs its price: nothing is as suspicious as double."""
    assert (cost_objection(_asked(cost=cost), load_catalog(None)) is None) == fits


def test_a_price_by_the_character_allows_another_count() -> None:
    """The provider counts the characters, and may count a few others than we do."""
    text: dict[str, JsonValue] = {"text": "x" * 100}
    for cost, fits in ((6000, True), (6300, True), (12_000, False)):
        asked = _asked("minimax/speech-02-turbo", text, size=None, seconds=5.0, cost=cost)
        assert (cost_objection(asked, load_catalog(None)) is None) == fits, cost


def test_what_cost_nothing_here_is_not_judged() -> None:
    """A clip that was paid for under another prompt, or by a model that is gone, has no band."""
    assert cost_objection(_asked(cost=0, reused=True), load_catalog(None)) is None
    assert cost_objection(_asked("gone/model", cost=99), load_catalog(None)) is None
    assert size_objection(_asked("gone/model", size=(1, 9)), load_catalog(None)) is None
