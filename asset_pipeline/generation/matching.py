"""What a complete listing of the provider's proves about a create without an answer.

A prediction is recognised by model, seed and prompt text; the derived seed makes that unique. For
a model without a seed, equal requests are told apart by count: of k of them with k predictions
each gets one, and since they are equal it does not matter which.
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
    """All predictions created since a time, and when we began to ask for them.

    Attributes:
        started: On the monotonic clock.
        asked_at: The same moment in UTC.
    """

    since: datetime
    started: float
    asked_at: datetime
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
    settle: float,
) -> Finding:
    """Say what a complete listing proves about an intent.

    Args:
        intent: The intent whose reply was lost.
        model: Its model.
        listing: Complete, and reaching back to the intent's window.
        rivals: All intents being submitted or unknown, this one among them.
        owned: Prediction ids that belong to any intent already.
        skew: How far the provider's clock may differ from ours, in seconds.
        settle: How long an accepted prediction may be missing from listings, in seconds.
    """
    free = [
        prediction
        for prediction in listing.predictions
        if prediction.prediction_id not in owned
        and _in_window(prediction, intent, skew)
        and _same_model(prediction, intent)
    ]
    matches = [prediction for prediction in free if _same_input(prediction, intent, model)]
    alike = [rival for rival in rivals if is_alike(rival, intent)]
    if matches and any(rival.state is IntentState.SUBMITTING for rival in alike):
        return Finding(Verdict.NOT_YET)
    equal = [rival for rival in alike if rival.inputs == intent.inputs]
    exact = [prediction for prediction in matches if _agrees(prediction, intent, model)]
    strange = [
        prediction
        for prediction in matches
        if not any(_agrees(prediction, rival, model) for rival in alike)
    ]
    only_equal = len(equal) == len(alike)
    mine = _share_of(intent, equal, exact + strange if only_equal else exact, skew)
    if mine is not None:
        return Finding(Verdict.FOUND, mine.prediction_id)
    if strange and not only_equal:
        return Finding(
            Verdict.UNSURE,
            reason="the provider shows a prediction of the same text with inputs nobody sent",
        )
    settled_if_lost_by = listing.asked_at - timedelta(seconds=settle)
    if matches and any(_lost_at(rival) > settled_if_lost_by for rival in equal):
        # A match that this intent left to a rival may be its own after all: the rival's may only
        # be missing from the listing yet.
        return Finding(Verdict.NOT_YET)
    if any(prediction.data_removed for prediction in free):
        return Finding(
            Verdict.UNSURE,
            reason="the provider has removed the inputs of predictions that may be this one",
        )
    return Finding(Verdict.ABSENT)


def is_alike(rival: Intent, intent: Intent) -> bool:
    """Tell whether a prediction of one may look like one of the other."""
    return (rival.model, rival.prompt_text, rival.seed) == (
        intent.model,
        intent.prompt_text,
        intent.seed,
    )


def _share_of(
    intent: Intent, equal: Sequence[Intent], matches: Sequence[Prediction], skew: float
) -> Prediction | None:
    """Share predictions out among equal requests and return the intent's own.

    Who was sent last chooses first, because it has the fewest to choose from, and takes the
    newest: so nobody goes without who need not.
    """
    left = sorted(matches, key=lambda each: (str(each.created_at), each.prediction_id))
    order = sorted(equal, key=lambda each: (window_start(each, skew), each.intent_id))
    for rival in reversed(order):
        taken = next((each for each in reversed(left) if _in_window(each, rival, skew)), None)
        if rival.intent_id == intent.intent_id:
            return taken
        if taken is not None:
            left.remove(taken)
    return None


def _in_window(prediction: Prediction, intent: Intent, skew: float) -> bool:
    return prediction.created_at is None or prediction.created_at >= window_start(intent, skew)


def _lost_at(intent: Intent) -> datetime:
    return intent.lost_at or intent.updated_at


def _same_model(prediction: Prediction, intent: Intent) -> bool:
    if intent.version is not None and prediction.version == intent.version:
        return True
    if prediction.model:
        return prediction.model == intent.model
    # A row without a model's name, as older replies are: its inputs decide.
    return intent.version is None or prediction.version is None


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


def _agrees(prediction: Prediction, intent: Intent, model: Model) -> bool:
    """Tell whether the provider shows every other input as the intent sent it."""
    compared = {model.prompt_input, model.seed_input}
    return all(
        prediction.inputs.get(name, value) == value
        for name, value in intent.inputs.items()
        if name not in compared
    )
