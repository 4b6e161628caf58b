"""Finding out what became of a create that got no clear answer, before anything else is sent."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy.exc import IntegrityError

from asset_pipeline.catalog.spec import Model
from asset_pipeline.clock import Clock
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
from asset_pipeline.ledger.intents import IntentMovedError
from asset_pipeline.ledger.records import Intent
from asset_pipeline.ledger.schema import IntentState
from asset_pipeline.providers.protocol import Provider, UnavailableError

# Complete listings that must not hold a prediction before it counts as absent; the last of them
# at least Timing.settle after the reply was lost.
_ABSENT_LISTINGS = 2


class ProvedAbsentError(Exception):
    """The provider certainly never accepted the intent; its money is back."""


class Lister:
    """Shares complete listings: sixty replies lost in one outage cost one listing, not sixty."""

    def __init__(self, provider: Provider, clock: Clock) -> None:
        self._provider = provider
        self._clock = clock
        self._lock = asyncio.Lock()
        self._latest: Listing | None = None

    async def since(self, since: datetime) -> Listing:
        """Return a complete listing that began after this call and reaches back to ``since``.

        Raises:
            UnavailableError: The provider could not list everything.
        """
        needed = self._clock.monotonic()
        async with self._lock:
            latest = self._latest
            if latest is None or latest.started < needed or latest.since > since:
                started, asked_at = self._clock.monotonic(), self._clock.now()
                rows = [prediction async for prediction in self._provider.list_since(since)]
                latest = self._latest = Listing(since, started, asked_at, tuple(rows))
            return latest


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
        while True:
            # Before the look: a listing that began too early settles nothing by ending late.
            settled = self._unsettled_for(intent) <= 0
            finding = await self._look(intent, model)
            match finding.verdict:
                case Verdict.FOUND:
                    try:
                        intent = await self._with.write(
                            self._with.ledger.accept, intent, finding.prediction_id
                        )
                    except IntegrityError:
                        continue  # an intent with equal input was faster: look again
                    self._with.checkpoint("found")
                    return intent
                case Verdict.UNSURE if settled:
                    await self._with.write(self._with.ledger.ask, intent, finding.reason)
                    raise GenerationFailure(ErrorClass.UNKNOWN, finding.reason)
                case Verdict.UNSURE | Verdict.NOT_YET:
                    pass
                case Verdict.ABSENT:
                    intent = await self._with.write(self._with.ledger.note_absence, intent)
                    self._with.checkpoint("absent")
                    if settled and intent.absent_listings >= _ABSENT_LISTINGS:
                        message = "never accepted: absent from the provider's listings"
                        await self._with.write(
                            self._with.ledger.refuse, intent, ErrorClass.NETWORK, message
                        )
                        self._with.checkpoint("released")
                        raise ProvedAbsentError(message)
            pause = max(self._unsettled_for(intent), self._with.timing.first_poll)
            await self._with.clock.sleep(pause)

    async def _look(self, intent: Intent, model: Model) -> Finding:
        timing = self._with.timing
        try:
            listing = await self._lister.since(window_start(intent, timing.clock_skew))
        except UnavailableError as error:
            raise GenerationFailure(
                ErrorClass.NETWORK, f"can't tell yet whether it was accepted: {error.message}"
            ) from error
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
