"""What a prediction costs: the billing matrix of status and price unit.

Replicate's API has no cost field, so the charge follows from the frozen price and the prediction's
metrics. Metrics are believed within bounds: what was asked for bounds what can have been made, and
a clip that is there has cost something. Where billing is not known, the worst case counts as
charged.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from pydantic import JsonValue

from asset_pipeline.catalog.pricing import price_of
from asset_pipeline.catalog.spec import PriceUnit
from asset_pipeline.catalog.terms import Terms
from asset_pipeline.ledger.schema import BillingState
from asset_pipeline.money import MicroUsd
from asset_pipeline.providers.prediction import Prediction, PredictionStatus

# More files than any model makes in one prediction, and more text than any takes.
_MOST_FILES = 32
_LONGEST_TEXT = 100_000

# A prediction that is cancelled at its deadline runs on for a moment.
_SECONDS_OVER = 60

_METRIC = {
    PriceUnit.IMAGE: "image_output_count",
    PriceUnit.THOUSAND_CHARACTERS: "character_input_count",
    PriceUnit.PREDICT_SECOND: "predict_time",
}


@dataclass(frozen=True, slots=True)
class Charge:
    """What one prediction cost, and how sure that is.

    Attributes:
        predict_seconds: How long it ran, where that can be believed.
        note: Why the provider's own number was not taken, if it was not.
    """

    amount: MicroUsd
    billed: BillingState
    predict_seconds: float | None = None
    note: str | None = None


def charge_for(terms: Terms, inputs: Mapping[str, JsonValue], prediction: Prediction) -> Charge:
    """Return what a prediction that ended cost.

    Aborted (never started) and failed predictions of public models are free; succeeded ones cost
    their units; canceled ones cost their time where time is the unit, and may have cost the full
    price where it is not.

    Args:
        terms: What it was begun on.
        inputs: What was sent.
        prediction: As the provider tells it.
    """
    ran = prediction.metrics.get("predict_time")
    seconds = ran if ran is not None and 0 <= ran <= _most_seconds(terms) else None
    if prediction.status in {PredictionStatus.ABORTED, PredictionStatus.FAILED}:
        return Charge(MicroUsd(0), BillingState.FREE, seconds)
    most = price_of(terms.unit, terms.usd, terms.most_units)
    if (
        prediction.status is PredictionStatus.CANCELED
        and terms.unit is not PriceUnit.PREDICT_SECOND
    ):
        if not _has_begun(prediction):
            return Charge(MicroUsd(0), BillingState.FREE, seconds)
        return Charge(most, BillingState.UNKNOWN, seconds)
    counted = _counted(terms, inputs, prediction)
    if counted is None:
        return Charge(most, BillingState.UNKNOWN, seconds)
    amount = price_of(terms.unit, terms.usd, counted.units)
    return Charge(amount, BillingState.BILLED, seconds, counted.note)


@dataclass(frozen=True, slots=True)
class _Counted:
    units: Decimal | int
    note: str | None = None


def _counted(
    terms: Terms, inputs: Mapping[str, JsonValue], prediction: Prediction
) -> _Counted | None:
    """Return the units that a prediction is charged for; None when they can't be known."""
    if terms.unit is PriceUnit.RUN:
        return _Counted(1)
    said = prediction.metrics.get(_METRIC[terms.unit])
    if terms.unit is PriceUnit.PREDICT_SECOND:
        return None if said is None else _seconds(terms, said, prediction)
    if said is None:
        return _Counted(_uncounted(terms, inputs, prediction))
    return _count(terms, said, _plausible(terms, inputs, prediction), prediction)


def _seconds(terms: Terms, said: float, prediction: Prediction) -> _Counted:
    if said > _most_seconds(terms):
        return _doubted(said, "seconds", terms.most_units)
    if said <= 0 and prediction.status is PredictionStatus.SUCCEEDED:
        return _doubted(said, "seconds", 1)
    return _Counted(Decimal(repr(max(0.0, said))))


def _count(terms: Terms, said: float, most: int, prediction: Prediction) -> _Counted:
    """Return a count within its bounds: at most what was asked for, at least 1 with a file."""
    if said == 0 and prediction.output == []:
        return _Counted(0)  # all of them were dropped as unsafe, and none is counted
    what = "images" if terms.unit is PriceUnit.IMAGE else "characters"
    if said > most:
        return _doubted(said, what, max(1, terms.most_units))
    made = min(_files(prediction), most) if terms.unit is PriceUnit.IMAGE else terms.most_units
    units = math.ceil(said) or max(1, made)
    return _Counted(units) if units == said else _doubted(said, what, units)


def _doubted(said: float, what: str, units: int) -> _Counted:
    number = f"{said:,.0f}" if said == round(said) and abs(said) < 10**15 else f"{said:g}"
    return _Counted(units, f"the provider counted {number} {what}, charged as {units:,}")


def _uncounted(terms: Terms, inputs: Mapping[str, JsonValue], prediction: Prediction) -> int:
    """Return the units of a prediction whose reply has no counts."""
    if terms.unit is PriceUnit.THOUSAND_CHARACTERS:
        return len(_text(terms, inputs))
    # Unsafe images are dropped from a list, so its length is what was made.
    return max(1, _files(prediction))


def _plausible(terms: Terms, inputs: Mapping[str, JsonValue], prediction: Prediction) -> int:
    """Return the most units that what was sent and what came back can explain.

    It may be more than was reserved: a model's entry may know nothing of an input that multiplies
    its outputs, and a provider may count bytes.
    """
    if terms.unit is PriceUnit.IMAGE:
        return max(terms.most_units, _files(prediction))
    # Of an orphan the text may be gone.
    sent = len(_text(terms, inputs).encode()) or _LONGEST_TEXT
    return max(terms.most_units, sent)


def _files(prediction: Prediction) -> int:
    """Return how many files a list holds; anything else counts as one."""
    output = prediction.output
    return min(len(output), _MOST_FILES) if isinstance(output, list) else 1


def _text(terms: Terms, inputs: Mapping[str, JsonValue]) -> str:
    return str(inputs.get(terms.prompt_input, ""))


def _most_seconds(terms: Terms) -> int:
    return terms.max_predict_seconds + _SECONDS_OVER


def _has_begun(prediction: Prediction) -> bool:
    """Tell whether anything says that a canceled prediction ran."""
    ran = any(number > 0 for number in prediction.metrics.values())
    return prediction.started_at is not None or ran or bool(prediction.output)
