"""Waiting for a prediction to end, to a deadline of our own."""

from __future__ import annotations

from asset_pipeline.catalog.spec import Model
from asset_pipeline.generation.collaborators import Collaborators
from asset_pipeline.generation.failures import ErrorClass, GenerationFailure
from asset_pipeline.ledger.records import Intent
from asset_pipeline.ledger.schema import IntentState
from asset_pipeline.providers.prediction import Prediction, PredictionStatus
from asset_pipeline.providers.protocol import NotFoundError, UnavailableError


async def wait_for_end(with_: Collaborators, model: Model, intent: Intent) -> Prediction:
    """Return an accepted intent's prediction once it has ended.

    A provider that is down, and a 404 for a prediction that it has accepted, are waited out, until
    the provider's own deadline has passed by a margin. Whoever takes the intent up after that waits
    for the margin alone.

    Args:
        with_: Provider, watch, clock and timing.
        model: Its deadline at the provider bounds ours.
        intent: With its prediction id.

    Raises:
        GenerationFailure: Class timeout. The intent stays open and is taken up again later.
    """
    timing, clock = with_.timing, with_.clock
    gone = (clock.now() - (intent.submitted_at or intent.created_at)).total_seconds()
    seconds = max(0.0, model.max_predict_seconds - gone) + timing.deadline_margin
    deadline = clock.monotonic() + seconds
    silence = "it still runs"
    prediction_id = intent.prediction_id or ""
    sent = intent.submitted_at or intent.created_at
    seen: Prediction | None = None
    if intent.state is IntentState.SUBMITTED:
        seen = await with_.watch.until_ended(prediction_id, sent, timing.slowest_poll)
    while True:
        try:
            if seen is not None and _is_whole(seen):
                return seen
            prediction = await with_.provider.get(prediction_id)
        except (UnavailableError, NotFoundError) as error:
            silence = error.message
            # Asking is free, and a provider may name hours: our own slowest pace is slow enough.
            pause = max(error.retry_after or 0.0, timing.first_poll)
            await clock.sleep(min(pause, timing.slowest_poll))
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
        seen = await with_.watch.until_ended(prediction_id, sent, timing.slowest_poll)


def _is_whole(row: Prediction) -> bool:
    """Tell whether a row of the listing says all that asking for the prediction would."""
    return row.status is not PredictionStatus.SUCCEEDED or row.output is not None
