"""The worst case of a prediction."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asset_pipeline.catalog.pricing import UnpricedModelError, cost, worst_case
from asset_pipeline.catalog.reader import load_catalog
from asset_pipeline.catalog.spec import Model, PriceRule, PriceUnit

DAY = date(2026, 11, 1)
CATALOG = load_catalog(None)


def rule(unit: PriceUnit, usd: str) -> PriceRule:
    """Return a price that has long been in force."""
    return PriceRule(unit=unit, usd=Decimal(usd), effective=date(2026, 1, 1), source="a test")


def worst(model: Model, text: str = "x", **inputs: int) -> int:
    """Return the worst case of a prompt on the day of the test."""
    return worst_case(model, model.request_inputs(text, inputs), on=DAY)


@pytest.mark.parametrize(
    ("name", "characters", "micro_usd"),
    [
        ("black-forest-labs/flux-schnell", 500, 3_000),
        ("stability-ai/stable-audio-2.5", 500, 200_000),
        ("minimax/speech-02-turbo", 1_000, 60_000),
        ("minimax/speech-02-turbo", 1, 60),
        ("jaaari/kokoro-82m", 1_000, 650),
        ("jaaari/kokoro-82m", 1, 1),  # 0.65 of a micro-dollar
    ],
)
def test_worst_case_of_packaged_models(name: str, characters: int, micro_usd: int) -> None:
    """Images, runs and characters are counted exactly; fractions of a micro-dollar round up."""
    assert worst(CATALOG.get(name), "x" * characters) == micro_usd


def test_a_price_by_time_is_bounded_by_the_cancel_time() -> None:
    """A time-priced prediction costs at most the seconds after which it is canceled."""
    model = CATALOG.get("stability-ai/sdxl").model_copy(
        update={"prices": (rule(PriceUnit.PREDICT_SECOND, "0.000975"),)}
    )
    assert worst(model) == 975 * model.max_predict_seconds


def test_every_output_asked_for_is_counted() -> None:
    """Where a user's model may make several images, all that could come are reserved."""
    model = CATALOG.get("black-forest-labs/flux-schnell")
    free = model.model_copy(update={"fixed_inputs": {}})
    assert worst(free, num_outputs=4) == 12_000
    by_default = model.inputs["num_outputs"].model_copy(update={"default": 3})
    greedy = free.model_copy(update={"inputs": {**model.inputs, "num_outputs": by_default}})
    assert worst(greedy) == 9_000


def test_an_unpriced_model_is_refused() -> None:
    """Without a price in force nothing may be spent, today or before a price begins."""
    with pytest.raises(UnpricedModelError, match=r"suno-ai/bark has no price on 2026-11-01"):
        worst(CATALOG.get("suno-ai/bark"))
    schnell = CATALOG.get("black-forest-labs/flux-schnell")
    with pytest.raises(UnpricedModelError):
        worst_case(schnell, schnell.request_inputs("x", {}), on=date(2020, 1, 1))


@given(
    usd=st.decimals(0, 10, places=9),
    quantity=st.integers(0, 10_000),
    unit=st.sampled_from(list(PriceUnit)),
)
def test_cost_is_never_too_low(usd: Decimal, quantity: int, unit: PriceUnit) -> None:
    """A cost is the exact price or less than one micro-dollar above it."""
    exact = usd * quantity * 1_000_000
    if unit is PriceUnit.THOUSAND_CHARACTERS:
        exact /= 1000
    assert exact <= cost(rule(unit, str(usd)), quantity) < exact + 1
