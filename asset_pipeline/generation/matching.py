"""What a complete listing of the provider's proves about a create without an answer.

A prediction is recognised by model, seed and prompt text; the derived seed makes that unique. For
a model without a seed, equal inputs are told apart by count: the k-th unowned prediction belongs
to the k-th intent, and since the inputs are equal it does not matter which is which.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from asset_pipeline.catalog.spec import Model
from asset_pipeline.ledger.records import Intent
from asset_pipeline.ledger.schema import IntentState
from asset_pipeline.providers.prediction import Prediction


class Verdict(StrEnum):
    """What one complete listing says about an intent."""

    FOUND = "found"
    ABSENT = "absent"
    NOT_YET = "not_yet"  # an equal request is on the wire; ask again in a moment
    UNSURE = "unsure"  # no listing will ever tell


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict, the prediction it rests on, and why nobody can be sure."""

    verdict: Verdict
    prediction_id: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """All predictions created since a time, and when we began to ask for them."""

    since: datetime
    started: float
    predictions: tuple[Prediction, ...]


def window_start(intent: Intent, skew: float) -> datetime:
    """Return the earliest time at which the provider can have accepted an intent."""
    return (intent.submitted_at or intent.created_at) - timedelta(seconds=skew)


def judge(
    intent: Intent,
    model: Model,
    listing: Listing,
    *,
    rivals: Sequence[Intent],
    owned: frozenset[str],
    skew: float,
) -> Finding:
    """Say what a complete listing proves about an intent.

    Args:
        intent: The intent whose reply was lost.
        model: Its model.
        listing: Complete, and reaching back to the intent's window.
        rivals: All intents being submitted or unknown, this one among them.
        owned: Prediction ids that belong to any intent already.
        skew: How far the provider's clock may differ from ours, in seconds.
    """
    start = window_start(intent, skew)
    free = [
        prediction
        for prediction in listing.predictions
        if prediction.prediction_id not in owned
        and (prediction.created_at is None or prediction.created_at >= start)
        and _same_model(prediction, intent)
    ]
    matches = sorted(
        (prediction for prediction in free if _same_input(prediction, intent, model)),
        key=lambda prediction: (str(prediction.created_at), prediction.prediction_id),
    )
    equal = sorted(
        (rival for rival in rivals if _equal_request(rival, intent)),
        key=lambda rival: (rival.created_at, rival.intent_id),
    )
    place = [rival.intent_id for rival in equal].index(intent.intent_id)
    if matches and any(rival.state is IntentState.SUBMITTING for rival in equal):
        return Finding(Verdict.NOT_YET)
    if place < len(matches):
        return Finding(Verdict.FOUND, matches[place].prediction_id)
    if any(prediction.data_removed for prediction in free):
        return Finding(
            Verdict.UNSURE,
            reason="the provider has removed the inputs of predictions that may be this one",
        )
    return Finding(Verdict.ABSENT)


def _same_model(prediction: Prediction, intent: Intent) -> bool:
    if prediction.model and prediction.model == intent.model:
        return True
    return intent.version is not None and prediction.version == intent.version


def _same_input(prediction: Prediction, intent: Intent, model: Model) -> bool:
    """Compare seed and text alone: a provider may normalise everything else."""
    if prediction.data_removed:
        return False
    text = prediction.inputs.get(model.prompt_input)
    if not isinstance(text, str) or text.strip() != intent.prompt_text.strip():
        return False
    if model.seed_input is None or intent.seed is None:
        return True
    seed = prediction.inputs.get(model.seed_input)
    return isinstance(seed, int | float | str) and str(seed) in {
        str(intent.seed),
        str(float(intent.seed)),
    }


def _equal_request(rival: Intent, intent: Intent) -> bool:
    if rival.intent_id == intent.intent_id:
        return True
    return (rival.model, rival.prompt_text, rival.seed) == (
        intent.model,
        intent.prompt_text,
        intent.seed,
    )
