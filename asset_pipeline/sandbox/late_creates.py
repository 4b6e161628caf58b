"""Creates that are taken up later, whether or not anybody still waits for the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from asset_pipeline.sandbox.state import MICROSECONDS, State

_Made = TypeVar("_Made")

# Any process on the same state can set the clock ahead meanwhile.
_LOOK_AGAIN_SECONDS = 0.1


class Lateness:
    """Acts that wait for their moment; they outlive the connection that asked for them.

    Args:
        state: Has the clock they go by.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._waiting: set[asyncio.Task[Any]] = set()

    @property
    def busy(self) -> bool:
        """Whether anything waits."""
        return bool(self._waiting)

    def hold(self, seconds: float, act: Callable[[], _Made]) -> asyncio.Task[_Made]:
        """Do something so many seconds from now; a client that is gone changes nothing."""
        task = asyncio.get_running_loop().create_task(self._do(seconds, act))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)
        return task

    async def close(self) -> None:
        """Give up what still waits: the server ends."""
        waiting = list(self._waiting)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    async def _do(self, seconds: float, act: Callable[[], _Made]) -> _Made:
        due = self._state.now_us() + round(seconds * MICROSECONDS)
        while True:
            left = (due - self._state.now_us()) / MICROSECONDS
            if left <= 0:
                return act()
            await asyncio.sleep(min(left, _LOOK_AGAIN_SECONDS))
