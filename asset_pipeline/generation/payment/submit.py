"""Submitting: the one POST of an intent, when rate limit and breaker allow it.

What a stop must not tear off in the middle runs to its end here as well.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Mapping
from datetime import timedelta
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit, urlunsplit

from pydantic import JsonValue
from sqlalchemy.exc import IntegrityError

from asset_pipeline.generation.classifier import class_of_loss, from_refusal
from asset_pipeline.generation.failures import ErrorClass, GenerationFailure
from asset_pipeline.generation.payment.breaker import BreakerGuard
from asset_pipeline.generation.payment.context import PaymentContext
from asset_pipeline.generation.reconciliation.matching import LABEL
from asset_pipeline.generation.request import (
    BadReferenceError,
    GenerationRequest,
    terms_of_intent,
)
from asset_pipeline.ledger.intents import IntentMovedError
from asset_pipeline.ledger.records import Intent
from asset_pipeline.providers.protocol import CreateRequest, RefusedError, UnclearError
from asset_pipeline.tracing.spans import span

T = TypeVar("T")

# A stop waits so long for the answer to a create that is on the wire; after that the intent is
# left for reconciliation. The whole stop is promised within ten seconds.
_LAST_REPLY_SECONDS = 7.0


async def shield_until_done(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end even when cancelled: a reply on the wire is worth money."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task], timeout=_LAST_REPLY_SECONDS)
        raise


# A process that stood still between its mark and its send (a laptop that slept) may have been taken
# for dead, after thirty seconds of silence, and its intent paid for elsewhere. It sends nothing.
_STALE = timedelta(seconds=20)


class Sender:
    """Takes an intent from reserved to submitted, or to unknown.

    Args:
        with_: The collaborators.
    """

    def __init__(self, with_: PaymentContext) -> None:
        self._with = with_

    async def send(self, request: GenerationRequest, intent: Intent, trial: BreakerGuard) -> Intent:
        """Send a reserved intent's create, when it is its turn.

        Raises:
            GenerationFailure: It was refused, or not sent; its money is back.
        """
        await self._wait_for_turn(intent, trial)
        try:
            inputs = request.sent_inputs(intent.inputs)
        except BadReferenceError as error:
            found = ErrorClass.INVALID_INPUT
            await self._with.write(self._with.ledger.refuse, intent, found, error.message)
            raise GenerationFailure(found, error.message) from error
        intent = await self._with.write(self._with.ledger.start_submitting, intent)
        self._with.checkpoint("submitting")
        held_up = self._with.clock.now() - (intent.submitted_at or intent.updated_at)
        if held_up > _STALE:
            message = f"held up for {held_up.total_seconds():.0f} s before it was sent"
            await self._with.write(self._with.ledger.refuse, intent, ErrorClass.NETWORK, message)
            raise GenerationFailure(ErrorClass.NETWORK, message)
        return await shield_until_done(self._post(request, intent, inputs, trial))

    async def _wait_for_turn(self, intent: Intent, trial: BreakerGuard) -> None:
        """Wait for the rate limit, and look at breaker and store once more after that."""
        refuse = self._with.ledger.refuse
        try:
            await trial.confirm()  # a slot must not be taken for what is held back
            await self._with.limiter.acquire()
            await trial.confirm()
            await self._with.gate.admit()
        except asyncio.CancelledError:
            # Certainly nothing was sent: the money goes back at once.
            with contextlib.suppress(IntentMovedError):  # an earlier attempt turned up meanwhile
                await shield_until_done(
                    self._with.write(refuse, intent, ErrorClass.CANCELLED, "not sent")
                )
            raise
        except GenerationFailure as held_back:
            # Its money is given back, so that another model may be asked for the clip.
            await self._with.write(refuse, intent, ErrorClass.CANCELLED, held_back.message)
            raise

    async def _post(
        self,
        request: GenerationRequest,
        intent: Intent,
        inputs: Mapping[str, JsonValue],
        trial: BreakerGuard,
    ) -> Intent:
        """Send the one POST of an intent and store what came of it."""
        ledger = self._with.ledger
        create = CreateRequest(
            model=intent.model,
            version=intent.version,
            inputs=inputs,
            cancel_after_seconds=terms_of_intent(intent, request.model).max_predict_seconds,
            webhook=self._labelled(intent),
        )
        try:
            with span("create", is_call=True, gen_ai__request__model=intent.model):
                prediction = await self._with.provider.create(create)
        except RefusedError as refusal:
            failure = from_refusal(refusal)
            self._with.checkpoint("refused")
            await self._with.write(ledger.refuse, intent, failure.error_class, failure.message)
            self._with.checkpoint("released")
            await trial.refused(failure)
            await self._with.limiter.heed(self._with.provider.allowance())
            raise failure from refusal
        except UnclearError as error:
            self._with.checkpoint("lost")
            intent = await self._with.write(ledger.lose_reply, intent, error.message)
            self._with.checkpoint("unknown")
            await trial.lost(class_of_loss(error.message), error.message)
            return intent
        self._with.checkpoint("accepted")
        try:
            intent = await self._with.write(ledger.accept, intent, prediction.prediction_id)
        except IntegrityError:
            raise await self._two_owners(intent, prediction.prediction_id) from None
        self._with.checkpoint("submitted")
        await trial.accepted()
        await self._with.limiter.heed(self._with.provider.allowance())
        return intent

    async def _two_owners(self, intent: Intent, prediction_id: str) -> GenerationFailure:
        """Ask a person about a create that was answered with another intent's prediction.

        It was accepted, so it is never absent; nobody but the provider can say as what.
        """
        question = (
            f"the provider answered with prediction {prediction_id}, which belongs to another "
            "intent: it may have billed two"
        )
        await self._with.write(self._with.ledger.ask, intent, question)
        return GenerationFailure(
            ErrorClass.UNKNOWN, question, cause="one id twice", prediction_id=prediction_id
        )

    def _labelled(self, intent: Intent) -> str | None:
        """Return the webhook's address with the intent in its query, which predictions repeat."""
        base = self._with.webhook_url
        if base is None:
            return None
        parts = urlsplit(base)
        query = "&".join(filter(None, [parts.query, urlencode({LABEL: intent.intent_id})]))
        return urlunsplit(parts._replace(query=query))
