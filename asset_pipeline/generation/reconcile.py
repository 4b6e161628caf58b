"""Finding out what became of a create that got no clear answer, before anything else is sent."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy.exc import IntegrityError

from asset_pipeline.catalog.spec import Model
from asset_pipeline.clock import Clock
from asset_pipeline.generation.classifying import class_of_loss
from asset_pipeline.generation.collaborators import Collaborators
from asset_pipeline.generation.failures import ErrorClass, GenerationFailure
from asset_pipeline.generation.matching import (
    Finding,
    Listing,
    Verdict,
    is_alike,
    judge,
    window_start,
)
from asset_pipeline.generation.timing import Timing
from asset_pipeline.ledger.intents import IntentMovedError
from asset_pipeline.ledger.records import Intent
from asset_pipeline.ledger.schema import IntentState
from asset_pipeline.providers.protocol import Provider, UnavailableError

_log = logging.getLogger(__name__)

# Complete listings that must not hold a prediction before it counts as absent; the last of them
# at least Timing.settle after the reply was lost.
_ABSENT_LISTINGS = 2


class ProvedAbsentError(Exception):
    """The provider certainly never accepted the intent; its money is back.

    Attributes:
        error_class: Of what lost the reply.
    """

    def __init__(self, message: str, error_class: ErrorClass) -> None:
        super().__init__(message)
        self.error_class = error_class


class Lister:
    """Shares complete listings: sixty replies lost in one outage cost one listing, not sixty."""

    def __init__(self, provider: Provider, clock: Clock) -> None:
        self._provider = provider
        self._clock = clock
        self._lock = asyncio.Lock()
        self._latest: Listing | None = None
        self._failed_at = float("-inf")
        self._failure = UnavailableError("")

    async def since(self, since: datetime) -> Listing:
        """Return a complete listing that began after this call and reaches back to ``since``.

        Raises:
            UnavailableError: The provider could not list everything; one failure, too, is shared by
                all who waited for it.
        """
        needed = self._clock.monotonic()
        async with self._lock:
            if self._failed_at >= needed:
                raise UnavailableError(self._failure.message, status=self._failure.status)
            latest = self._latest
            if latest is None or latest.started < needed or latest.since > since:
                started, asked_at = self._clock.monotonic(), self._clock.now()
                try:
                    rows = [prediction async for prediction in self._provider.list_since(since)]
                except UnavailableError as error:
                    self._failed_at, self._failure = self._clock.monotonic(), error
                    raise
                latest = self._latest = Listing(since, started, asked_at, tuple(rows))
            return latest


class _Silence:
    """A provider that can't be asked now: it is asked again, less and less often, up to a limit."""

    def __init__(self, clock: Clock, timing: Timing) -> None:
        self._clock = clock
        self._timing = timing
        self.end()

    def end(self) -> None:
        """Say that there was an answer."""
        self._until = self._clock.monotonic() + self._timing.outage
        self._pause = self._timing.first_poll

    async def bear(self, error: UnavailableError) -> None:
        """Wait before the next question.

        Raises:
            GenerationFailure: Class network: it has been silent for too long.
        """
        if self._clock.monotonic() >= self._until:
            raise GenerationFailure(
                ErrorClass.NETWORK,
                f"can't tell yet whether it was accepted: {error.message}",
                cause="no listing",
            ) from error
        self._pause = min(self._pause * 2, self._timing.slowest_poll)
        await self._clock.sleep(self._pause)


class Reconciler:
    """Proves what became of unknown intents."""

    def __init__(self, with_: Collaborators) -> None:
        self._with = with_
        self._lister = Lister(with_.provider, with_.clock)

    async def resolve(self, intent: Intent, model: Model) -> Intent:
        """Return the intent with the prediction that was found to be its own.

        Raises:
            ProvedAbsentError: It was never accepted, and has been refused in the ledger.
            GenerationFailure: It can't be told, now (class network) or any more (unknown); the
                money stays reserved.
        """
        silence = _Silence(self._with.clock, self._with.timing)
        while True:
            # Before the look: a listing that began too early settles nothing by ending late.
            settled = self._unsettled_for(intent) <= 0
            try:
                finding = await self._look(intent, model)
            except UnavailableError as error:
                await silence.bear(error)
                continue
            silence.end()
            match finding.verdict:
                case Verdict.FOUND:
                    try:
                        intent = await self._with.write(
                            self._with.ledger.accept, intent, finding.prediction_id
                        )
                    except IntegrityError:
                        continue  # an intent with equal input was faster: look again
                    self._with.checkpoint("found")
                    _log.info("accepted after all", extra={"prediction_id": finding.prediction_id})
                    return intent
                case Verdict.UNSURE if settled:
                    await self._with.write(self._with.ledger.ask, intent, finding.reason)
                    _log.warning("A person must decide on %s: %s", intent.intent_id, finding.reason)
                    raise GenerationFailure(ErrorClass.UNKNOWN, finding.reason, cause="the listing")
                case Verdict.UNSURE | Verdict.NOT_YET:
                    pass
                case Verdict.ABSENT:
                    intent = await self._with.write(self._with.ledger.note_absence, intent)
                    self._with.checkpoint("absent")
                    if settled and intent.absent_listings >= _ABSENT_LISTINGS:
                        found = class_of_loss(intent.error or "")
                        message = "never accepted: absent from the provider's listings"
                        if intent.error:
                            message = f"{message}, after {intent.error}"
                        await self._with.write(self._with.ledger.refuse, intent, found, message)
                        self._with.checkpoint("released")
                        _log.info("%s", message)
                        raise ProvedAbsentError(message, found)
            pause = max(self._unsettled_for(intent), self._with.timing.first_poll)
            await self._with.clock.sleep(pause)

    async def _look(self, intent: Intent, model: Model) -> Finding:
        timing = self._with.timing
        listing = await self._lister.since(window_start(intent, timing.clock_skew))
        ids = [prediction.prediction_id for prediction in listing.predictions]
        rivals, owned = await self._with.write(self._with.ledger.reconciliation_view, ids)
        self._with.checkpoint("listed")
        await self._take_over_the_dead(intent, rivals)
        return judge(
            intent,
            model,
            listing,
            rivals=rivals,
            owned=owned,
            skew=timing.clock_skew,
            settle=timing.settle,
        )

    async def _take_over_the_dead(self, intent: Intent, rivals: Sequence[Intent]) -> None:
        """Adopt creates like this one that dead workers had on the wire: nobody hears the answer.

        As long as one counts as on its way, a listed prediction may answer it and this intent has
        to wait: for ever, if that one's turn in the batch comes after this one's.
        """
        ledger = self._with.ledger
        for rival in rivals:
            sending = rival.state is IntentState.SUBMITTING and is_alike(rival, intent)
            if sending and not await self._with.write(ledger.is_alive, rival.worker_id):
                with contextlib.suppress(IntentMovedError):
                    await self._with.write(ledger.adopt, rival, intent.worker_id)

    def _unsettled_for(self, intent: Intent) -> float:
        """Seconds until an absence counts."""
        lost_at = intent.lost_at or intent.updated_at
        settled_at = lost_at + timedelta(seconds=self._with.timing.settle)
        return (settled_at - self._with.clock.now()).total_seconds()
