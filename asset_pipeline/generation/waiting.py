"""Waiting for a prediction to end: questions with growing pauses, to a deadline of our own."""

from __future__ import annotations

from collections.abc import Callable

from asset_pipeline.catalog.spec import Model
from asset_pipeline.generation.collaborators import Collaborators
from asset_pipeline.generation.failures import ErrorClass, GenerationFailure
from asset_pipeline.ledger.records import Intent
from asset_pipeline.ledger.schema import IntentState
from asset_pipeline.providers.prediction import Prediction
from asset_pipeline.providers.protocol import NotFoundError, UnavailableError

_GROWTH = 1.5


async def wait_for_end(
    with_: Collaborators, model: Model, intent: Intent, *, in_flight: Callable[[], int]
) -> Prediction:
    """Return an accepted intent's prediction once it has ended.

    A provider that is down, and a 404 for a prediction that it has accepted, are waited out.

    Args:
        with_: Provider, clock and timing.
        model: Its deadline at the provider bounds ours.
        intent: With its prediction id.
        in_flight: How many clips ask at the moment; together they stay under the provider's limit.

    Raises:
        GenerationFailure: Class timeout. The intent stays open and is taken up again later.
    """
    timing, clock = with_.timing, with_.clock
    seconds = model.max_predict_seconds + timing.deadline_margin
    deadline = clock.monotonic() + seconds
    pause, silence = timing.first_poll, "it still runs"
    prediction_id = intent.prediction_id or ""
    if intent.state is IntentState.SUBMITTED:
        await clock.sleep(pause)
    while True:
        try:
            prediction = await with_.provider.get(prediction_id)
        except (UnavailableError, NotFoundError) as error:
            silence = error.message
            pause = max(pause, error.retry_after or 0.0)
        else:
            if prediction.status.is_terminal:
                return prediction
            silence = f"it is {prediction.raw_status}"
        if clock.monotonic() > deadline:
            raise GenerationFailure(
                ErrorClass.TIMEOUT,
                f"no end after {seconds:.0f} s: {silence}",
                prediction_id=prediction_id,
            )
        await clock.sleep(max(pause, in_flight() / timing.polls_per_second))
        pause = min(pause * _GROWTH, timing.slowest_poll)
