"""Comparing the provider's listing with the ledger's rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from datetime import timedelta

from asset_pipeline.ledger.audit import Mismatch
from asset_pipeline.ledger.manual_resolution import BY_HAND
from asset_pipeline.ledger.records import Intent
from asset_pipeline.ledger.reports import LedgerReader
from asset_pipeline.ledger.schema import IntentState
from asset_pipeline.providers.prediction import Prediction, PredictionStatus

_FREE = (PredictionStatus.FAILED, PredictionStatus.ABORTED)

_NO_SEED = 2**63  # what no ledger column holds

# Without a seed a request is known by its text and its time: a connection's longest wait and two
# clocks that are a minute apart.
_AROUND = timedelta(minutes=10)


def differences(
    predictions: Sequence[Prediction], owned: Collection[str], ledger: LedgerReader
) -> list[Mismatch]:
    """Return what a listing shows that the ledger denies.

    That is an id that stands for several predictions, a payment that was released and accepted
    after all, and a prediction without an owner that asks for what is paid for already. An orphan
    that an earlier audit recorded is still one.

    Args:
        predictions: All that were listed.
        owned: Those of their ids that have a row in the ledger.
        ledger: The rows.
    """
    found = list(_listed_twice(predictions))
    known = set(owned) - ledger.orphans_among(owned)
    strangers = [
        each for each in predictions if each.prediction_id not in known and each.status not in _FREE
    ]
    texts = {text for each in strangers for text in _texts(each)}
    seeds = {seed for each in strangers for seed in _seeds(each)}
    candidates = ledger.sent_like(seeds, texts)
    for stranger in strangers:
        fitting = [intent for intent in candidates if _asks_for(stranger, intent)]
        mismatch = _denied(stranger, fitting)
        if mismatch is not None:
            found.append(mismatch)
    return found


def _listed_twice(predictions: Sequence[Prediction]) -> Iterator[Mismatch]:
    rows: defaultdict[str, set[str]] = defaultdict(set)
    for each in predictions:
        # A page that overlaps the next repeats a row as it was; another prediction differs.
        rows[each.prediction_id].add(f"{each.created_at} {sorted(each.inputs.items(), key=str)}")
    for prediction_id, different in rows.items():
        if len(different) > 1:
            found = f"{len(different)} predictions"
            rule = "an id stands for one prediction"
            yield Mismatch(f"prediction {prediction_id}", rule, "1 prediction", found)


def _denied(stranger: Prediction, fitting: Sequence[Intent]) -> Mismatch | None:
    """Return what is wrong about a prediction without an owner that fits these intents."""
    if any(_is_undecided(intent) for intent in fitting):
        return None  # it may be theirs: reconciliation will tell
    prediction = f"prediction {stranger.prediction_id}"
    for intent in fitting:
        if intent.state is IntentState.REFUSED:
            subject = f"intent {intent.intent_id}"
            rule = f"it was released ({_of(intent)}), so it was never accepted"
            return Mismatch(subject, rule, "no prediction", prediction)
    for intent in fitting:
        if intent.prediction_id is not None:
            expected = f"prediction {intent.prediction_id}"
            return Mismatch(_of(intent), "it is paid for once", expected, f"{prediction} as well")
    return None


def _is_undecided(intent: Intent) -> bool:
    """Tell whether an intent may own a prediction, or does so by a person's word."""
    if intent.prediction_id is not None:
        return False
    return intent.is_open or (intent.error_class == BY_HAND and intent.charged_microusd > 0)


def _asks_for(prediction: Prediction, intent: Intent) -> bool:
    """Tell whether a prediction asks for what an intent asked for."""
    same_version = intent.version is not None and prediction.version == intent.version
    if not (same_version or prediction.model == intent.model):
        return False
    texts = _texts(prediction)
    has_text = intent.prompt_text in texts
    if intent.seed is not None:
        return intent.seed in _seeds(prediction) and (has_text or not texts)
    sent, made = intent.submitted_at or intent.created_at, prediction.created_at
    return has_text and made is not None and abs(made - sent) <= _AROUND


def _seeds(prediction: Prediction) -> set[int]:
    return {
        int(value)
        for name, value in prediction.inputs.items()
        if "seed" in name.lower() and isinstance(value, int | float) and abs(value) < _NO_SEED
    }


def _texts(prediction: Prediction) -> set[str]:
    return {value for value in prediction.inputs.values() if isinstance(value, str)}


def _of(intent: Intent) -> str:
    return f"{intent.kind}/{intent.prompt_id} variant {intent.variant}"
