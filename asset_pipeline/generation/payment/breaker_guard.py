"""One create and its prediction, as its model's breaker sees them."""

from __future__ import annotations

import asyncio
import logging
from types import TracebackType
from typing import Self

from asset_pipeline.generation.failures import ErrorClass, GenerationFailure
from asset_pipeline.generation.payment.breaker import Breakers
from asset_pipeline.ledger.breaker_machine import Failure, Outcome, Permit

_log = logging.getLogger(__name__)

# They speak about the provider or the model. All others speak about this request or this account.
_HEALTH = frozenset({ErrorClass.SERVER_ERROR, ErrorClass.TIMEOUT, ErrorClass.NETWORK})
_ACCOUNT = frozenset(
    {
        ErrorClass.RATE_LIMIT,
        ErrorClass.AUTHENTICATION,
        ErrorClass.INSUFFICIENT_CREDIT,
        ErrorClass.QUOTA_EXCEEDED,
    }
)


class BreakerGuard:
    """Asks a breaker for leave to send, and tells it what came of that.

    As a context it gives a probe's claim back when nothing was learnt from it.
    """

    def __init__(self, breakers: Breakers, model: str) -> None:
        self._breakers = breakers
        self._model = model
        self._permit: Permit | None = None
        self._renewing: asyncio.Task[None] | None = None

    async def admit(self) -> None:
        """Ask for the right to send, before money is set aside for it; asking again is free.

        Raises:
            HeldBackFailure: Not now.
            GenerationFailure: Not for so long that waiting is over.
        """
        if self._permit is not None:
            return
        self._permit = await self._breakers.admit(self._model)
        if self._permit.is_probe:
            _log.info("%s: trying whether it works again", self._model)
            self._renewing = asyncio.create_task(self._breakers.renew(self._permit))

    async def confirm(self) -> None:
        """Make sure, right before the create goes out, that the breaker has not opened since.

        Raises:
            HeldBackFailure: It has.
            GenerationFailure: It has, long ago.
        """
        await self._breakers.refresh()
        if self._permit is not None and not self._breakers.still_holds(self._permit):
            self._permit = None
        await self.admit()

    async def accepted(self) -> None:
        """Say that the create was answered with a prediction."""
        await self._tell(Outcome.ACCEPTED)

    async def lost(self, error_class: ErrorClass, message: str) -> None:
        """Say that the create got no clear answer."""
        await self._tell(Outcome.CREATE_FAILED, Failure(error_class, message))

    async def refused(self, failure: GenerationFailure) -> None:
        """Say that the create was refused."""
        found = failure.error_class
        if found in _HEALTH:
            await self._tell(Outcome.CREATE_FAILED, Failure(found, failure.message))
        else:
            await self._tell(Outcome.NOTHING if found in _ACCOUNT else Outcome.ANSWERED)

    async def ended(self, failure: GenerationFailure | None) -> None:
        """Say how the prediction ended; None for a success."""
        if failure is None:
            await self._tell(Outcome.MADE)
        elif failure.error_class in _HEALTH:
            await self._tell(
                Outcome.PREDICTION_FAILED, Failure(failure.error_class, failure.message)
            )
        else:
            stopped = failure.error_class in {ErrorClass.CANCELLED, ErrorClass.FORGOTTEN}
            await self._tell(Outcome.NOTHING if stopped else Outcome.MADE)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._renewing is not None:
            self._renewing.cancel()
        if self._permit is not None and self._permit.is_probe:
            await self._tell(Outcome.NOTHING)

    async def _tell(self, outcome: Outcome, failure: Failure | None = None) -> None:
        """Report an outcome; after a decisive one the rest of this trial says nothing more."""
        permit = self._permit
        if permit is None:
            return
        if outcome is not Outcome.ACCEPTED:
            self._permit = None
        await self._breakers.report(permit, outcome, failure)
