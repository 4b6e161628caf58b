"""The limit of predictions in flight."""

from __future__ import annotations

import asyncio
from types import TracebackType


class InFlightLimiter:
    """A semaphore that is first come, first served.

    A clip keeps its place from before its create to the end of its prediction. It is delivered
    without one: with a place for the whole way a fifth of them stood idle while pictures were
    fetched, decoded and stored.

    Args:
        count: Predictions at a time.
    """

    def __init__(self, count: int) -> None:
        self._free = asyncio.Semaphore(count)
        self.taken = 0

    async def __aenter__(self) -> None:
        await self._free.acquire()
        self.taken += 1

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.taken -= 1
        self._free.release()
