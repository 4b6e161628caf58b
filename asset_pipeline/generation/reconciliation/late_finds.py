"""Predictions that turn up after their intent was released as never accepted.

A release rests on listings, and a provider may list later than anyone waits. What turns up is owed:
its intent is taken back, charged and delivered, and a second attempt that was not sent is stopped.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Sequence
from datetime import timedelta

from sqlalchemy.exc import IntegrityError

from asset_pipeline.clock import Clock
from asset_pipeline.generation.reconciliation.matching import Likeness, Window, is_alike, likeness
from asset_pipeline.generation.request import terms_of_intent
from asset_pipeline.ledger.intents import IntentMovedError
from asset_pipeline.ledger.ledger import Ledger
from asset_pipeline.ledger.records import Intent
from asset_pipeline.ledger.schema import IntentState
from asset_pipeline.origin import Origin
from asset_pipeline.providers.prediction import Prediction

_log = logging.getLogger(__name__)

# An audit that runs each hour and misses a night still sees what turned up.
REACH = timedelta(hours=25)

# Intents that may own an unknown prediction. Reserved ones were not sent: a second attempt
# that looks back before it goes out must not keep the first one from being found.
_SENT = (IntentState.SUBMITTING, IntentState.UNKNOWN, IntentState.QUESTION)


def take_back(
    ledger: Ledger,
    predictions: Iterable[Prediction],
    *,
    origin: Origin,
    window: Window,
    clock: Clock,
) -> list[Intent]:
    """Take back the intents whose predictions are among these, and return them as they stand now.

    Args:
        ledger: Holds the intents.
        predictions: What the provider lists.
        origin: Who lists them: another account's predictions prove nothing.
        window: When the provider can have accepted what.
        clock: Says how far back to look.
    """
    released = [
        intent
        for intent in ledger.released_as_absent(clock.now() - REACH)
        if intent.origin.is_recorded and intent.origin.agrees_with(origin)
    ]
    if not released:
        return []
    rows = {prediction.prediction_id: prediction for prediction in predictions}
    # The order matters: an intent accepted between the two queries is in at least one answer.
    waiting = [each for each in ledger.intents_in(_SENT) if each.origin.agrees_with(origin)]
    owned = ledger.owned(rows)
    free = [row for prediction_id, row in rows.items() if prediction_id not in owned]
    taken: list[Intent] = []
    for intent, prediction in _pairs(ledger.models(), released, waiting, free, window):
        # Another process was faster, or a create was just answered with this prediction.
        with contextlib.suppress(IntentMovedError, IntegrityError):
            taken.append(ledger.revive(intent, prediction.prediction_id))
            _log.warning(
                "An intent that was given up as never accepted turned up and is charged",
                extra={
                    "intent_id": intent.intent_id,
                    "prediction_id": prediction.prediction_id,
                    "partition": intent.prompt_id,
                },
            )
    return taken


def _pairs(
    models: frozenset[str],
    released: Sequence[Intent],
    waiting: Sequence[Intent],
    free: Sequence[Prediction],
    window: Window,
) -> list[tuple[Intent, Prediction]]:
    """Return whose each prediction is: by label or seed; by text where nobody else waits for it."""
    left = list(released)
    found: list[tuple[Intent, Prediction]] = []
    for wanted in (Likeness.OURS, Likeness.LIKE):
        for prediction in free:
            if any(prediction is taken for _, taken in found):
                continue
            for intent in left:
                close = likeness(prediction, intent, terms_of_intent(intent), models, window)
                undecided = wanted is Likeness.LIKE and _somebody_waits(intent, waiting)
                if close is wanted and not undecided:
                    found.append((intent, prediction))
                    left.remove(intent)
                    break
    return found


def _somebody_waits(intent: Intent, waiting: Sequence[Intent]) -> bool:
    return any(other.prediction_id is None and is_alike(other, intent) for other in waiting)
