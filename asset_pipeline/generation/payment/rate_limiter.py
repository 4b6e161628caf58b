"""Pacing creates: one queue for all clips of a session, in slots that all processes share."""

from __future__ import annotations

import asyncio
from collections import deque

from asset_pipeline.clock import Clock
from asset_pipeline.ledger.group_commit import Writing
from asset_pipeline.ledger.rate_limit import BURST, RateLimitRepository
from asset_pipeline.providers.protocol import Allowance

# A lease is at most so many seconds' worth of slots: the ledger is written once for five creates at
# 600 a minute, and another process's turn comes after half a second.
_LEASE_SECONDS = 0.5

# A slot that was leased longer ago is not used before the ledger was asked whether the provider has
# paused everybody since.
_NEWS_SECONDS = 1.0

# Requests on the wire take the last slots: at 600 a minute two are kept for them.
_KEPT_SECONDS = 0.2

# Limits are kept by the minute; after a longer wait the provider is asked again after two.
_LONGEST_PAUSE = 120.0


class RateLimiter:
    """Lets at most so many creates a minute go out, of all processes on one ledger together.

    Without a limit of our own the ledger is never asked; what the provider says still counts.

    Args:
        per_minute: Creates a minute; 0 means no limit of our own.
        clock: For time and waiting.
        book: The rate that all processes share.
        writing: Runs its blocking transactions.
    """

    def __init__(
        self, per_minute: int, clock: Clock, book: RateLimitRepository, writing: Writing
    ) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._book = book
        self._writing = writing
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._slots: deque[float] = deque()
        self._paused_until = clock.monotonic()
        self._heard_at = clock.monotonic()
        self._most = max(1, int(per_minute / 60 * _LEASE_SECONDS))
        self._kept = per_minute / 60 * _KEPT_SECONDS

    async def acquire(self) -> None:
        """Wait for the right to send one create; first come, first served."""
        self._waiting += 1
        try:
            async with self._turn:
                while not await self._take():
                    pass
        finally:
            self._waiting -= 1

    async def throttled(self, seconds: float) -> None:
        """Obey a 429: nobody sends for so long, and all go slower for a while afterwards."""
        self._hold(seconds)
        if self._per_minute:
            book, per_minute = self._book, self._per_minute
            await self._writing.run(lambda: book.throttle(seconds, per_minute))

    async def heed(self, allowance: Allowance | None) -> None:
        """Stop before the provider has to: it says with each answer how much of its limit is left.

        Args:
            allowance: What the last answer to a create said, if it said anything.
        """
        if allowance is None or allowance.remaining > self._kept:
            return
        seconds = min(allowance.reset_seconds, _LONGEST_PAUSE)
        self._hold(seconds)
        if self._per_minute:
            book, per_minute = self._book, self._per_minute
            await self._writing.run(lambda: book.pause(seconds, per_minute))

    async def _take(self) -> bool:
        """Take the next slot when it is due; otherwise go a step towards it."""
        now = self._clock.monotonic()
        while self._slots and self._slots[0] < now - BURST.total_seconds():
            self._slots.popleft()  # nobody wanted it in time: it must not be made up for later
        due = self._paused_until
        if self._per_minute:
            if not self._slots:
                await self._lease()
                return False
            due = max(due, self._slots[0])
        if due > now:
            await self._clock.sleep(due - now)
            return False
        if self._per_minute and now - self._heard_at > _NEWS_SECONDS:
            await self._ask_for_news()
            return False
        if self._slots:
            self._slots.popleft()
        return True

    async def _lease(self) -> None:
        """Take as many slots as are waited for, but no more than are soon used."""
        book, count, per_minute = self._book, min(self._waiting, self._most), self._per_minute
        lease = await self._writing.run(lambda: book.lease(count, per_minute))
        now = self._clock.monotonic()
        ahead = (lease.first_at - self._clock.now()).total_seconds()
        step = lease.interval.total_seconds()
        self._slots.extend(now + ahead + turn * step for turn in range(lease.count))
        self._heard_at = now

    async def _ask_for_news(self) -> None:
        rate = await self._writing.run(self._book.get)
        self._heard_at = self._clock.monotonic()
        if rate is not None and rate.paused_until is not None:
            self._hold((rate.paused_until - self._clock.now()).total_seconds())

    def _hold(self, seconds: float) -> None:
        """Send nothing for so many seconds; slots within that time are lost."""
        self._paused_until = max(self._paused_until, self._clock.monotonic() + seconds)
        while self._slots and self._slots[0] < self._paused_until:
            self._slots.popleft()
