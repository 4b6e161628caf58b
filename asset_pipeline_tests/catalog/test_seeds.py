"""Two variants of one prompt are never one and the same request."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asset_pipeline.catalog.reader import load_catalog
from asset_pipeline.catalog.seeds import variants_objection, with_variants_seed
from asset_pipeline.catalog.spec import InputSpec, Model

CATALOG = load_catalog(None)
IDEOGRAM = CATALOG.get("ideogram-ai/ideogram-v3-quality")
KOKORO = CATALOG.get("jaaari/kokoro-82m")


def _bounded(least: int | None, most: int | None) -> Model:
    seed = InputSpec(
        type="integer",
        minimum=None if least is None else Decimal(least),
        maximum=None if most is None else Decimal(most),
    )
    return IDEOGRAM.model_copy(update={"inputs": {**IDEOGRAM.inputs, "seed": seed}})


@given(
    seed=st.integers(-(2**31), 2**63 - 1),
    least=st.none() | st.integers(-10, 10),
    most=st.none() | st.integers(11, 2**32),
    variants=st.integers(1, 100),
)
def test_variants_that_are_allowed_have_seeds_of_their_own(
    seed: int, least: int | None, most: int | None, variants: int
) -> None:
    """The first keeps the seed that was given; all differ and the model takes each of them."""
    model = _bounded(least, most)
    spec = model.inputs["seed"]
    if spec.objection(seed) or variants_objection(model, {"seed": seed}, variants):
        return
    asked = [with_variants_seed(model, {"seed": seed}, each)["seed"] for each in range(1, variants)]
    assert asked[:1] == [seed][: variants - 1]
    assert len(set(map(str, asked))) == len(asked)
    assert [spec.objection(each) for each in asked] == [None] * len(asked)
    assert all(isinstance(each, int) and each < 2**63 for each in asked)


def test_seeds_begin_again_at_the_models_least() -> None:
    """No variant asks for a seed above what the model takes."""
    model = _bounded(5, 9)
    asked = [with_variants_seed(model, {"seed": 8}, each)["seed"] for each in range(1, 6)]
    assert asked == [8, 9, 5, 6, 7]


@pytest.mark.parametrize(
    ("model", "seed", "variants", "said"),
    [
        (_bounded(1, 3), 1, 4, "4 variants need as many seeds from 1 on"),
        (_bounded(None, 9), 9, 12, "12 variants need as many seeds from 9 on"),
    ],
)
def test_too_few_seeds_are_said(model: Model, seed: int, variants: int, said: str) -> None:
    """A model with fewer seeds than variants would be paid twice for one of them."""
    objection = variants_objection(model, {"seed": seed}, variants)
    assert objection is not None
    assert said in objection[0]
    assert "Write fewer variants" in objection[1]


def test_a_model_without_a_seed_makes_one_variant() -> None:
    """The same words in the same voice twice are paid for once; the sentence says what to write."""
    assert variants_objection(KOKORO, {}, 1) is None
    objection = variants_objection(KOKORO, {}, 3)
    assert objection is not None
    assert "takes no seed, so its 3 variants would be one and the same request" in objection[0]
    assert "variants: 1" in objection[1]
    assert "varies: true" in objection[1]
    varying = KOKORO.model_copy(update={"varies": True})
    assert variants_objection(varying, {}, 3) is None


def test_an_undeclared_seed_is_named() -> None:
    """A model whose entry forgot to say which input is its seed is not taken for one without."""
    forgotten = IDEOGRAM.model_copy(update={"seed_input": None})
    objection = variants_objection(forgotten, {"seed": 7}, 2)
    assert objection is not None
    assert "seed_input: seed" in objection[1]


def test_a_broken_seed_is_refused() -> None:
    """Half a seed would be rounded in silence."""
    inputs = {**IDEOGRAM.inputs, "seed": InputSpec(type="number")}
    model = IDEOGRAM.model_copy(update={"inputs": inputs})
    objection = variants_objection(model, {"seed": 7.5}, 1)
    assert objection == ("the seed 7.5 is not a whole number.", "Write seed: 7.")
