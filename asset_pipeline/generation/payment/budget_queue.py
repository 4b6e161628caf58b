"""One process's queue for reserved money that may be released, first come, first served."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from asset_pipeline.clock import Clock
from asset_pipeline.ledger.postings import BudgetExceededError

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Waiter:
    """A clip that asks for money.

    Attributes:
        budgets: Those that it falls under.
        budget: The one that had no room for it, or for one before it; those that came later keep
            behind until it is served.
    """

    budgets: frozenset[str]
    budget: str = ""


class BudgetQueue:
    """Makes reservations; those that do not fit wait until reserved money is released.

    A clip whose budget another waits for queues behind it, so that an expensive clip is not starved
    by cheap ones.

    Args:
        clock: For the pace.
        pause: Between two looks at what other processes gave back, in seconds.
        is_busy: Tells whether this process is at an intent, whose money comes back one day.
    """

    def __init__(self, clock: Clock, pause: float, is_busy: Callable[[], bool]) -> None:
        self._clock = clock
        self._pause = pause
        self._is_busy = is_busy
        self._line: list[_Waiter] = []
        self._news = asyncio.Event()

    @property
    def waiting(self) -> int:
        """How many wait for money or for those before them."""
        return sum(bool(each.budget or self._behind(each)) for each in self._line)

    def tell(self) -> None:
        """Say that money may have come back."""
        self._news.set()
        self._news = asyncio.Event()

    async def reserve(self, budgets: frozenset[str], ask: Callable[[], Awaitable[T]]) -> T:
        """Return what ``ask`` returns, asking again as long as the money that it needs is held.

        Args:
            budgets: The budgets that the reservation falls under.
            ask: Makes the reservation.

        Raises:
            BudgetExceededError: Nothing is held that could come back, or not enough.
        """
        me = _Waiter(budgets)
        self._line.append(me)
        try:
            while True:
                while ahead := self._behind(me):
                    me.budget = ahead
                    await self._news.wait()
                news, was_busy = self._news, self._is_busy()
                try:
                    return await ask()
                except BudgetExceededError as breach:
                    # What was held at the answer may have come back before it was heard.
                    if not self._may_wait(breach, is_busy=was_busy or self._is_busy()):
                        raise
                    me.budget = breach.budget
                await self._wait(news)
        finally:
            self._line.remove(me)
            self.tell()

    def _may_wait(self, breach: BudgetExceededError, *, is_busy: bool) -> bool:
        coming = breach.coming_back
        if coming is None:
            return False
        return coming.again or coming.elsewhere > 0 or (coming.here > 0 and is_busy)

    def _behind(self, me: _Waiter) -> str:
        """Return the budget that somebody who came earlier waits for; empty when nobody does."""
        for other in self._line:
            if other is me:
                break
            if other.budget in me.budgets:
                return other.budget
        return ""

    async def _wait(self, news: asyncio.Event) -> None:
        """Wait until money may have come back here, or for the time between two looks."""
        told = asyncio.ensure_future(news.wait())
        patience = asyncio.ensure_future(self._clock.sleep(self._pause))
        try:
            await asyncio.wait({told, patience}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            told.cancel()
            patience.cancel()
