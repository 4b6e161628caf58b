"""Who pays for what: the billing matrix over status and price unit.

Replicate's API has no cost field, so the charge follows from the model's price and the
prediction's metrics. Where billing is not known, the worst case counts as charged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from pydantic import JsonValue

from asset_pipeline.catalog.pricing import cost, price_on, worst_case
from asset_pipeline.catalog.spec import Model, PriceUnit
from asset_pipeline.ledger.schema import BillingState
from asset_pipeline.money import MicroUsd
from asset_pipeline.providers.prediction import Prediction, PredictionStatus


@dataclass(frozen=True, slots=True)
class Charge:
    """What one prediction cost, and how sure that is."""

    amount: MicroUsd
    billed: BillingState


_FREE = Charge(MicroUsd(0), BillingState.FREE)


def charge_for(
    model: Model, inputs: Mapping[str, JsonValue], prediction: Prediction, *, on: date
) -> Charge:
    """Return what a prediction that ended cost.

    Aborted (never started) and failed predictions of public models are free; succeeded ones cost
    their units; canceled ones cost their time where time is the unit, and may have cost the full
    price where it is not.
    """
    if prediction.status in {PredictionStatus.ABORTED, PredictionStatus.FAILED}:
        return _FREE
    rule = price_on(model, on)
    most = worst_case(model, inputs, on=on)
    if prediction.status is PredictionStatus.CANCELED and rule.unit is not PriceUnit.PREDICT_SECOND:
        if prediction.started_at is None:
            return _FREE
        return Charge(most, BillingState.UNKNOWN)
    units = _units(rule.unit, model, inputs, prediction)
    if units is None:
        return Charge(most, BillingState.UNKNOWN)
    return Charge(cost(rule, units), BillingState.BILLED)


def _units(
    unit: PriceUnit, model: Model, inputs: Mapping[str, JsonValue], prediction: Prediction
) -> Decimal | int | None:
    match unit:
        case PriceUnit.RUN:
            return 1
        case PriceUnit.IMAGE:
            counted = _whole(prediction, "image_output_count")
            if counted is not None:
                return counted
            # Unsafe images are dropped from a list, so its length is what was made.
            return len(prediction.output) if isinstance(prediction.output, list) else 1
        case PriceUnit.THOUSAND_CHARACTERS:
            counted = _whole(prediction, "character_input_count")
            return len(str(inputs[model.prompt_input])) if counted is None else counted
        case PriceUnit.PREDICT_SECOND:
            seconds = prediction.metrics.get("predict_time")
            return None if seconds is None else Decimal(repr(seconds))


def _whole(prediction: Prediction, metric: str) -> int | None:
    value = prediction.metrics.get(metric)
    return None if value is None else round(value)
