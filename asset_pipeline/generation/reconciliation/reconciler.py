"""Resolving creates without a clear answer, before anything else is sent."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NoReturn

from sqlalchemy.exc import IntegrityError

from asset_pipeline.catalog.terms import Terms
from asset_pipeline.clock import Clock
from asset_pipeline.generation.classifier import class_of_loss
from asset_pipeline.generation.failures import ErrorClass, GenerationFailure
from asset_pipeline.generation.payment.context import PaymentContext
from asset_pipeline.generation.reconciliation.late_finds import REACH, take_back
from asset_pipeline.generation.reconciliation.matching import (
    Listing,
    Match,
    MatchVerdict,
    Window,
    judge,
)
from asset_pipeline.generation.timeouts import Timeouts
from asset_pipeline.ledger.intents import NEVER_ACCEPTED, IntentMovedError
from asset_pipeline.ledger.records import Intent
from asset_pipeline.ledger.schema import IntentState
from asset_pipeline.providers.listing import gathered
from asset_pipeline.providers.prediction import Prediction
from asset_pipeline.providers.protocol import NotFoundError, Provider, UnavailableError

_log = logging.getLogger(__name__)

# Complete listings that must not hold a prediction before it counts as absent; the last of them
# when no answer can be under way any more: see Timing.settle and Timing.late_acceptance.
_ABSENT_LISTINGS = 2

# A prediction that was accepted late is looked for as often, in seconds, until it is settled.
_BETWEEN_LOOKS = 10.0

# Predictions without inputs are asked for by themselves, so many a look at the most.
_ASKED_IN_DETAIL = 20

# A create of ours is broken off after 36 s; what it may take is never less than a minute.
_LONGEST_CREATE = 60.0

# A clock that is a day off is set wrong, ours or the provider's: more is not searched through.
_MOST_SKEW = 86_400.0


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
        """Return a listing that began after this call and reaches back to ``since``.

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
                    rows, gap = await gathered(self._provider, since)
                except UnavailableError as error:
                    self._failed_at, self._failure = self._clock.monotonic(), error
                    raise
                latest = self._latest = Listing(since, started, asked_at, tuple(rows), gap)
            return latest


class _Silence:
    """Backoff while the provider does not answer, up to a limit."""

    def __init__(self, clock: Clock, timing: Timeouts) -> None:
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

    def __init__(self, with_: PaymentContext) -> None:
        self._with = with_
        self._lister = Lister(with_.provider, with_.clock)
        self._is_home: bool | None = None
        self._models: frozenset[str] = frozenset()

    async def resolve(self, intent: Intent, terms: Terms) -> Intent:
        """Return the intent with the prediction that was found to be its own.

        Raises:
            ProvedAbsentError: It was never accepted, and has been refused in the ledger.
            GenerationFailure: It can't be told, now (class network) or any more (unknown); the
                money stays reserved.
        """
        silence = _Silence(self._with.clock, self._with.timing)
        timing, clock = self._with.timing, self._with.clock
        # A clock that was ahead at the loss would delay the end by as much.
        longest = clock.monotonic() + max(timing.settle, timing.late_acceptance)
        while True:
            # Taken before the listing: what counts is when a listing began, not when it ended.
            settled = self._unsettled_for(intent) <= 0 or clock.monotonic() >= longest
            try:
                finding = await self._look(intent, terms, in_detail=settled)
            except UnavailableError as error:
                await silence.bear(error)
                continue
            silence.end()
            match finding.verdict:
                case MatchVerdict.FOUND:
                    try:
                        intent = await self._with.write(
                            self._with.ledger.accept, intent, finding.prediction_id
                        )
                    except IntegrityError:
                        continue  # an intent with equal input was faster: look again
                    self._with.checkpoint("found")
                    _log.info("accepted after all", extra={"prediction_id": finding.prediction_id})
                    return intent
                case MatchVerdict.UNSURE if settled:
                    raise await self._ask(intent, finding.reason)
                case MatchVerdict.UNSURE | MatchVerdict.NOT_YET:
                    pass
                case MatchVerdict.ABSENT:
                    intent = await self._with.write(self._with.ledger.note_absence, intent)
                    self._with.checkpoint("absent")
                    if settled and intent.absent_listings >= _ABSENT_LISTINGS:
                        try:
                            await self._release(intent)
                        except UnavailableError as error:
                            await silence.bear(error)
            pause = max(self._unsettled_for(intent), self._with.timing.first_poll)
            await self._with.clock.sleep(min(pause, _BETWEEN_LOOKS))

    async def look_back(self, intent: Intent) -> bool:
        """Look once more for what was given up of a wanted clip, before another one is sent.

        Returns:
            Whether the clip is on its way already; the intent at hand must not be sent then.

        Raises:
            UnavailableError: The provider could not list everything.
        """
        ledger, window = self._with.ledger, self._window()
        now = self._with.clock.now()
        released = await self._with.write(ledger.released_as_absent, now - REACH)
        if await self._with.write(ledger.is_open_beside, intent):
            return True  # somebody else has taken it back since
        wanted = {intent.generation_hash, intent.wanted_hash or intent.generation_hash}
        earlier = [
            each
            for each in released
            if not wanted.isdisjoint({each.generation_hash, each.wanted_hash})
        ]
        if not earlier:
            return False
        listing = await self._lister.since(min(map(window.start, earlier)))
        taken = await self._take_back(listing)
        if not {each.intent_id for each in earlier}.isdisjoint(each.intent_id for each in taken):
            return True
        if listing.gap:
            raise UnavailableError(listing.gap)
        return False

    async def _release(self, intent: Intent) -> NoReturn:
        if not intent.origin.is_recorded and not await self._was_asked_here():
            raise await self._ask(
                intent,
                "the ledger does not say which account it was sent with, and this one knows none "
                "of its predictions",
            )
        found = class_of_loss(intent.error or "")
        message = f"{NEVER_ACCEPTED}: absent from the provider's listings"
        if intent.error:
            message = f"{message}, after {intent.error}"
        await self._with.write(self._with.ledger.refuse, intent, found, message)
        self._with.checkpoint("released")
        _log.info("%s", message)
        raise ProvedAbsentError(message, found)

    async def _ask(self, intent: Intent, reason: str) -> GenerationFailure:
        await self._with.write(self._with.ledger.ask, intent, reason)
        _log.warning("A person must decide on %s: %s", intent.intent_id, reason)
        return GenerationFailure(ErrorClass.UNKNOWN, reason, cause="the listing")

    async def _was_asked_here(self) -> bool:
        """Tell whether this account knows predictions of a release that recorded no accounts."""
        if self._is_home is None:
            newest = await self._with.write(self._with.ledger.newest_prediction)
            try:
                self._is_home = newest is not None and bool(await self._with.provider.get(newest))
            except NotFoundError:
                self._is_home = False
        return self._is_home

    async def _look(self, intent: Intent, terms: Terms, *, in_detail: bool) -> Match:
        window = self._window()
        listing = await self._lister.since(window.start(intent))
        ids = [prediction.prediction_id for prediction in listing.predictions]
        ledger = self._with.ledger
        waiting, owned = await self._with.write(ledger.reconciliation_view, ids)
        # Another account's creates are in no listing of this account.
        rivals = [each for each in waiting if each.origin.agrees_with(intent.origin)]
        # Read once: what is asked for meanwhile is recognised by its own intent.
        models = self._models = self._models or await self._with.write(ledger.models)
        self._with.checkpoint("listed")
        await self._lose_the_replies_of_the_dead(rivals)
        await self._take_back(listing)

        def judged(listing: Listing) -> Match:
            return judge(
                intent,
                terms,
                listing,
                rivals=rivals,
                owned=owned,
                models=models,
                window=window,
                settle=self._with.timing.settle,
            )

        finding = judged(listing)
        if finding.verdict is MatchVerdict.UNSURE and in_detail and finding.unclear:
            return judged(await self._detailed(listing, finding.unclear))
        return finding

    async def _detailed(self, listing: Listing, unclear: Sequence[str]) -> Listing:
        """Ask for predictions by themselves: a listing may leave out what they say."""
        shown: dict[str, Prediction] = {}
        for prediction_id in unclear[:_ASKED_IN_DETAIL]:
            with contextlib.suppress(NotFoundError):
                shown[prediction_id] = await self._with.provider.get(prediction_id)
        rows = tuple(shown.get(row.prediction_id, row) for row in listing.predictions)
        return replace(listing, predictions=rows)

    async def _take_back(self, listing: Listing) -> list[Intent]:
        origin = await self._with.provider.origin()
        return await self._with.write(
            take_back,
            self._with.ledger,
            listing.predictions,
            origin=origin,
            window=self._window(),
            clock=self._with.clock,
        )

    async def _lose_the_replies_of_the_dead(self, rivals: Sequence[Intent]) -> None:
        """Mark creates of dead workers as unknown: nobody receives their answers.

        As long as one counts as on its way, a listed prediction may answer it and this intent has
        to wait: for ever, if that one's turn in the batch comes after this one's. Nobody drives it
        then; if it looked as if this process did, others would wait for its money.
        """
        ledger = self._with.ledger
        for rival in rivals:
            if rival.state is not IntentState.SUBMITTING:
                continue
            if not await self._with.write(ledger.is_alive, rival.worker_id):
                with contextlib.suppress(IntentMovedError):
                    await self._with.write(ledger.let_go, rival)

    def _window(self) -> Window:
        timing = self._with.timing
        behind, ahead = self._with.provider.clock_offset()
        return Window(
            skew=timing.clock_skew,
            ahead=(max(behind, -_MOST_SKEW), min(ahead, _MOST_SKEW)),
            late=max(timing.late_acceptance, _LONGEST_CREATE),
        )

    def _unsettled_for(self, intent: Intent) -> float:
        """Seconds until an absence counts."""
        timing = self._with.timing
        lost_at = intent.lost_at or intent.updated_at
        sent_at = intent.submitted_at or intent.created_at
        settled_at = max(
            lost_at + timedelta(seconds=timing.settle),
            sent_at + timedelta(seconds=timing.late_acceptance),
        )
        return (settled_at - self._with.clock.now()).total_seconds()
