"""The models' circuit breakers, as one session uses them.

A closed breaker costs a batch nothing: whether it is closed is read from a copy of all breakers
that is a second old at most, and a success is written only where failures are to be forgotten.

A guard of its own reports each create and its prediction to the breaker.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from types import TracebackType
from typing import Self

from asset_pipeline.clock import Clock
from asset_pipeline.generation.failures import ErrorClass, GenerationFailure, HeldBackFailure
from asset_pipeline.ledger import breaker_machine as machine
from asset_pipeline.ledger.breaker_machine import (
    Breaker,
    BreakerRules,
    Failure,
    Outcome,
    Permit,
)
from asset_pipeline.ledger.breakers import BreakerRepository
from asset_pipeline.ledger.engine import LedgerError
from asset_pipeline.ledger.group_commit import Writing
from asset_pipeline.ledger.schema import BreakerState

_log = logging.getLogger(__name__)

# What another process wrote is known here after so long; a second's worth of creates is what an
# outage costs each process that did not find it out by itself.
_NEWS_SECONDS = 1.0

# A probe's outcome mostly comes long before its claim expires.
_PROBE_LOOK_SECONDS = 1.0

# Renewed three times within its life, a claim outlives two that the ledger was too busy for.
_RENEWALS = 3


class Breakers:
    """The breakers of one session.

    Args:
        book: The breakers in the ledger.
        rules: The thresholds in force; asked at each use.
        clock: For time and waiting.
        writing: Runs the ledger's blocking transactions.
        owner: Whom a probe's claim names: the session's worker id.
    """

    def __init__(
        self,
        book: BreakerRepository,
        rules: Callable[[], BreakerRules],
        clock: Clock,
        writing: Writing,
        owner: str,
    ) -> None:
        self._book = book
        self._rules = rules
        self._clock = clock
        self._writing = writing
        self._owner = owner
        self._known: dict[str, Breaker] = {}
        self._known_at = float("-inf")
        self._reading = asyncio.Lock()
        self._claiming: set[str] = set()

    def is_open(self, model: str) -> bool:
        """Tell whether nothing may be sent to a model now, as far as this session knows."""
        known = self._known.get(model)
        return model in self._claiming or (
            known is not None and known.held_until(self._clock.now()) is not None
        )

    def is_closed(self, model: str) -> bool:
        """Tell whether anybody may send to a model, as far as this session knows."""
        known = self._known.get(model)
        return known is None or known.state is BreakerState.CLOSED

    async def refresh(self) -> None:
        """Learn what other processes wrote, unless that was done a moment ago."""
        if self._clock.monotonic() - self._known_at < _NEWS_SECONDS:
            return
        async with self._reading:
            if self._clock.monotonic() - self._known_at < _NEWS_SECONDS:
                return
            self._known = await self._writing.run(self._book.all)
            self._known_at = self._clock.monotonic()

    async def admit(self, model: str) -> Permit:
        """Return the right to send.

        Raises:
            HeldBackFailure: Not now.
            GenerationFailure: It has been held back for so long that waiting is over, for now.
        """
        await self.refresh()
        known = self._known.get(model)
        if known is None:
            return Permit(model, 0, is_probe=False)
        if known.state is BreakerState.CLOSED:
            return Permit(model, known.epoch, is_probe=False)
        if self.is_open(model):
            raise self._held_back(known)
        self._claiming.add(model)
        try:
            book, rules, owner = self._book, self._rules(), self._owner
            breaker, permit = await self._writing.run(lambda: book.admit(model, owner, rules))
        finally:
            self._claiming.discard(model)
        self._known[model] = breaker
        if permit is None:
            raise self._held_back(breaker)
        return permit

    def still_holds(self, permit: Permit) -> bool:
        """Tell whether nothing has changed since a permit was given, as far as is known."""
        known = self._known.get(permit.model)
        return (0 if known is None else known.epoch) == permit.epoch

    async def report(self, permit: Permit, outcome: Outcome, failure: Failure | None) -> None:
        """Write what came of something that was sent, where that changes anything."""
        rules, now = self._rules(), self._clock.now()
        if not permit.is_probe and failure is None:
            known = self._known.get(permit.model) or machine.closed(permit.model, now)
            if machine.after(known, permit, outcome, now, rules) is known:
                return
        book = self._book
        after = await self._writing.run(lambda: book.report(permit, outcome, rules, failure))
        # Compared with what is known by now: sixty failures that come in at once are one opening.
        before = self._known.get(permit.model)
        self._known[permit.model] = after
        _tell(before, after)

    async def renew(self, permit: Permit) -> None:
        """Prolong a probe's claim again and again, until cancelled."""
        while True:
            await self._clock.sleep(self._rules().probe_seconds / _RENEWALS)
            with contextlib.suppress(LedgerError):
                await self._writing.run(lambda: self._book.renew(permit, self._rules()))

    def _held_back(self, breaker: Breaker) -> GenerationFailure:
        now, rules = self._clock.now(), self._rules()
        since = breaker.opened_at or now
        why = f"{breaker.last_error_class}: {breaker.last_error}"
        patience = rules.give_up_seconds - (now - since).total_seconds()
        if patience <= 0:
            return GenerationFailure(
                _class_of(breaker),
                f"{breaker.model} has not worked since {since:%Y-%m-%d %H:%M:%S} UTC; {why}",
                cause="breaker open",
            )
        until = breaker.held_until(now)
        wait = _PROBE_LOOK_SECONDS
        if breaker.state is BreakerState.OPEN and until is not None:
            wait = min((until - now).total_seconds(), patience)
        return HeldBackFailure(breaker.model, retry_after=wait, reason=why)


def _class_of(breaker: Breaker) -> ErrorClass:
    return ErrorClass(breaker.last_error_class or ErrorClass.SERVER_ERROR)


def _tell(before: Breaker | None, after: Breaker) -> None:
    """Log when a breaker opens or closes, so that people see why nothing happens."""
    was = BreakerState.CLOSED if before is None else before.state
    if after.state is BreakerState.OPEN and (before is None or before.epoch != after.epoch):
        _log.warning(
            "%s: %s (%s); nothing is sent to it until %s UTC.",
            after.model,
            "the probe failed" if after.openings > 1 else f"{after.failures} failures in a row",
            f"{after.last_error_class}: {after.last_error}",
            f"{after.retry_at:%H:%M:%S}",
        )
    elif after.state is BreakerState.CLOSED and was is not BreakerState.CLOSED:
        _log.warning("%s works again.", after.model)


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
    """Asks a breaker for permission to send, and reports the outcome.

    As a context manager it releases a probe's claim that had no outcome.
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
