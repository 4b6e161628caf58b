"""Waiting for a prediction to end, with our own deadline."""

from __future__ import annotations

import contextlib
import logging
from datetime import timedelta

from asset_pipeline.catalog.terms import Terms
from asset_pipeline.generation.failures import ErrorClass, GenerationFailure
from asset_pipeline.generation.payment.context import PaymentContext
from asset_pipeline.ledger.records import Intent
from asset_pipeline.providers.prediction import Prediction, PredictionStatus
from asset_pipeline.providers.protocol import NotFoundError, ProviderError, UnavailableError

_log = logging.getLogger(__name__)

# A prediction that is not known is asked for so often, over Timing.forgotten, before that is
# believed: Replicate answers 404 for a moment after a create.
_UNKNOWN_ANSWERS = 3


async def wait_for_end(with_: PaymentContext, terms: Terms, intent: Intent) -> Prediction:
    """Return an accepted intent's prediction once it has ended.

    A provider that is down is waited for until its own deadline has passed by a margin. Whoever
    takes the intent up after that waits for the margin alone. A provider that does not know the
    prediction is not waited for at all.

    Args:
        with_: Provider, watch, clock and timing.
        terms: The deadline at the provider bounds ours.
        intent: In state submitted.

    Raises:
        GenerationFailure: Class timeout or forgotten. The intent stays open and is taken up again
            later; one that is forgotten after the deadline is a question for a person.
    """
    timing, clock = with_.timing, with_.clock
    sent = intent.submitted_at or intent.created_at
    gone = (clock.now() - sent).total_seconds()
    seconds = max(0.0, terms.max_predict_seconds - gone) + timing.deadline_margin
    deadline = clock.monotonic() + seconds
    silence = "it still runs"
    prediction_id = intent.prediction_id or ""
    while True:
        seen = await with_.watch.until_ended(prediction_id, sent, timing.slowest_poll)
        try:
            if seen is not None and _is_whole(seen):
                return seen
            prediction = await with_.provider.get(prediction_id)
        except NotFoundError as error:
            await _check_not_forgotten(with_, terms, intent)
            silence = error.message
        except UnavailableError as error:
            silence = error.message
            await clock.sleep(_pause(with_, error))
        else:
            if prediction.status.is_terminal:
                return prediction
            silence = f"it is {prediction.raw_status}"
        if clock.monotonic() > deadline:
            raise GenerationFailure(
                ErrorClass.TIMEOUT,
                f"no end after {seconds:.0f} s: {silence}",
                cause="our own deadline",
                prediction_id=prediction_id,
            )


async def known_again(with_: PaymentContext, intent: Intent) -> Intent:
    """Return an intent that is a question as accepted, if its prediction was only forgotten.

    The server may have its memory back by now, or the right account's token be set.

    Raises:
        GenerationFailure: Class unknown: a person has to decide.
    """
    if intent.prediction_id is not None:
        with contextlib.suppress(NotFoundError, UnavailableError):
            await with_.provider.get(intent.prediction_id)
            return await with_.write(with_.ledger.accept, intent, intent.prediction_id)
    raise GenerationFailure(ErrorClass.UNKNOWN, intent.error or "a person must decide")


async def _check_not_forgotten(with_: PaymentContext, terms: Terms, intent: Intent) -> None:
    """Return when the provider knows a prediction after all, or can't say.

    Raises:
        GenerationFailure: Class forgotten: it says so again and again, and does not list it.
    """
    prediction_id = intent.prediction_id or ""
    for _ in range(_UNKNOWN_ANSWERS - 1):
        await with_.clock.sleep(with_.timing.forgotten / (_UNKNOWN_ANSWERS - 1))
        try:
            await with_.provider.get(prediction_id)
        except NotFoundError:
            continue
        except UnavailableError:
            return
        return
    if not await _is_unlisted(with_, intent):
        return
    where = f" at {intent.base_url}" if intent.base_url else ""
    message = f"the provider{where} does not know prediction {prediction_id}, which it accepted"
    forgotten = GenerationFailure(
        ErrorClass.FORGOTTEN, message, cause="HTTP 404", prediction_id=prediction_id
    )
    _log.warning("%s: %s", intent.prompt_id, forgotten)
    last = timedelta(seconds=terms.max_predict_seconds + with_.timing.deadline_margin)
    if with_.clock.now() > (intent.submitted_at or intent.created_at) + last:
        # It ended long ago, so waiting for its end is of no use.
        await with_.write(with_.ledger.ask, intent, f"{message}. {forgotten.hint}")
    raise forgotten


async def _is_unlisted(with_: PaymentContext, intent: Intent) -> bool:
    """Tell whether a complete listing since the create goes without the prediction."""
    sent = intent.submitted_at or intent.created_at
    since = sent - timedelta(seconds=with_.timing.clock_skew)
    try:
        async with contextlib.aclosing(with_.provider.list_since(since)) as listed:
            async for prediction in listed:
                if prediction.prediction_id == intent.prediction_id:
                    return False
    except UnavailableError:
        return False
    return True


def _pause(with_: PaymentContext, error: ProviderError) -> float:
    # Asking is free, and a provider may name hours: our own slowest pace is slow enough.
    pause = max(error.retry_after or 0.0, with_.timing.first_poll)
    return min(pause, with_.timing.slowest_poll)


def _is_whole(row: Prediction) -> bool:
    """Tell whether a row of the listing says all that asking for the prediction would."""
    return row.status is not PredictionStatus.SUCCEEDED or row.output is not None
