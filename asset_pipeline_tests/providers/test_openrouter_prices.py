"""Prices of language models: what can't be read whole is no price, and never one of nothing."""

from __future__ import annotations

from decimal import Decimal

import pytest

from asset_pipeline.providers import openrouter
from asset_pipeline_tests.support.ledger_rows import NOW


def _price(**pricing: object) -> object:
    row = {"id": "a/b", "pricing": {"prompt": "0.000001", "completion": "0.000002", **pricing}}
    return openrouter._price_of(row, NOW)


@pytest.mark.parametrize(
    "pricing",
    [
        {"prompt": None},
        {"completion": "-1"},
        {"completion": "NaN"},
        {"prompt": True},
        {"request": "-1"},
        {"request": "free"},
        {"internal_reasoning": "-1"},
        {"input_cache_write": "Infinity"},
    ],
)
def test_what_is_no_fixed_price_is_none(pricing: dict[str, object]) -> None:
    """A model that says "it depends" of any part is not asked."""
    assert _price(**pricing) is None


def test_the_dearest_kind_of_token_counts() -> None:
    """Thinking, and filling a cache, may cost more a token than writing and sending."""
    price = _price(internal_reasoning="0.000009", input_cache_write="0.000005", request="0.01")
    assert price is not None
    assert (price.prompt, price.completion, price.request) == (  # type: ignore[attr-defined]
        Decimal("0.000005"),
        Decimal("0.000009"),
        Decimal("0.01"),
    )
