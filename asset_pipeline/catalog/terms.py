"""The terms of one payment: price and output form, frozen when its money is set aside.

Whoever finishes the payment goes by these. A price that was raised since, a model that left the
catalog or an input that was renamed changes nothing about what is paid for already.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from pydantic import JsonValue, TypeAdapter

from asset_pipeline.catalog.pricing import most_units, price_on
from asset_pipeline.catalog.spec import Model, OutputShape, PriceUnit


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms that were in force when an attempt began.

    Attributes:
        unit: What the price is for one of.
        usd: US dollars a unit.
        most_units: Units that the reservation covers.
        prompt_input: The input that holds the prompt's text.
        seed_input: The input that holds the seed, if the model takes one.
        reference_input: The input that holds the reference file, if the model takes one.
        output: Where the model says its file is; a file anywhere else counts too.
        output_key: The field of an output object that holds it.
        max_predict_seconds: After so many seconds the provider cancels.
    """

    unit: PriceUnit
    usd: Decimal
    most_units: int
    prompt_input: str
    seed_input: str | None
    reference_input: str | None
    output: OutputShape
    output_key: str | None
    max_predict_seconds: int

    def to_json(self) -> str:
        """Return the terms as the ledger keeps them."""
        return _ADAPTER.dump_json(self).decode()


def terms_of(model: Model, inputs: Mapping[str, JsonValue], *, on: date) -> Terms:
    """Return the terms of a payment that is begun on a day.

    Raises:
        UnpricedModelError: The model has no price on that day.
    """
    rule = price_on(model, on)
    return Terms(
        unit=rule.unit,
        usd=rule.usd,
        most_units=most_units(model, inputs, rule.unit),
        prompt_input=model.prompt_input,
        seed_input=model.seed_input,
        reference_input=model.reference_input,
        output=model.output,
        output_key=model.output_key,
        max_predict_seconds=model.max_predict_seconds,
    )


def terms_from(text: str) -> Terms:
    """Return the terms that the ledger kept."""
    return _ADAPTER.validate_json(text)


_ADAPTER = TypeAdapter(Terms)
