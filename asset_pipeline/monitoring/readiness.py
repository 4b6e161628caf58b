"""Checks that run in the background, so that a probe is answered at once, whatever hangs."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TypeVar, cast

from asset_pipeline.monitoring.checkup import Checkup, State
from asset_pipeline.monitoring.installation import CHECKS, Check
from asset_pipeline.settings import Settings

T = TypeVar("T")

# A probe that comes before the first checks have ended waits for them so long.
_FIRST_SECONDS = 5.0


class Status(StrEnum):
    """Whether requests should be sent here."""

    READY = "ready"
    UNAVAILABLE = "unavailable"
    DRAINING = "draining"  # it is about to end


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found, when, and how long it took.

    Attributes:
        needed: Whether the service is not ready when it fails.
        seconds: How long the look took, or has taken so far.
    """

    found: Checkup
    needed: bool
    checked_at: datetime
    seconds: float


@dataclass
class BackgroundChecks:
    """Runs the checks that the service goes by, each in its own time and within its own limit.

    A look that hangs is left to itself, and its part fails meanwhile; it is not looked at again
    until that look has ended, so that no more than one thread hangs for each part.

    Args:
        settings: Where everything is.
        checks: What is looked at.
    """

    settings: Settings
    checks: Sequence[Check] = tuple(each for each in CHECKS if each.every is not None)
    _results: dict[str, tuple[Checked, ...]] = field(default_factory=dict[str, tuple[Checked, ...]])
    _all_looked: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list[asyncio.Task[None]])

    def start(self) -> None:
        """Begin to look, on the running loop."""
        self._tasks = [asyncio.create_task(self._go_on(each)) for each in self.checks]

    async def aclose(self) -> None:
        """End; what hangs is not waited for."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._tasks = []

    async def first(self) -> None:
        """Wait a little for the first look at everything."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_SECONDS):
                await self._all_looked.wait()

    def results(self) -> Iterator[Checked]:
        """Yield what is known of each part, in the order of the list."""
        for check in self.checks:
            yield from self._results.get(check.part, (_unknown(check),))

    def failing(self) -> list[str]:
        """Return the parts that the service can't be without and that fail."""
        fail = State.FAIL
        return [
            each.found.part for each in self.results() if each.needed and each.found.state is fail
        ]

    async def _go_on(self, check: Check) -> None:
        while True:
            await self._look(check)
            if len(self._results) == len(self.checks):
                self._all_looked.set()
            await asyncio.sleep(check.every or 0)

    async def _look(self, check: Check) -> None:
        began = time.monotonic()
        looking = _in_thread(lambda: tuple(check.run(self.settings)))
        try:
            # Not wait_for: in Python 3.11 it can swallow the cancellation that ends the checks.
            async with asyncio.timeout(check.limit):
                found = await asyncio.shield(looking)
        except TimeoutError:
            self._note(check, [_hung(check)], time.monotonic() - began)
            # Until it ends, if ever: another look would hang beside it.
            await asyncio.wait([looking])
            return
        except Exception as error:  # noqa: BLE001 -- a check that breaks is a part that fails
            kind = type(error).__name__
            found = (Checkup(check.part, State.FAIL, f"It can't be looked at: {kind}."),)
        self._note(check, found, time.monotonic() - began)

    def _note(self, check: Check, found: Sequence[Checkup], seconds: float) -> None:
        now = datetime.now(UTC)
        self._results[check.part] = tuple(
            Checked(each, check.needed, now, round(seconds, 3)) for each in found
        )


def _in_thread(look: Callable[[], T]) -> asyncio.Future[T]:
    """Run a look in a thread of its own, which keeps no process from ending when it hangs."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(found: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(cast("T", found))

    def work() -> None:
        found, failed = None, None
        try:
            found = look()
        except Exception as error:  # noqa: BLE001 -- handed on to who waits
            failed = error
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, found, failed)

    threading.Thread(target=work, name="check", daemon=True).start()
    return future


def _hung(check: Check) -> Checkup:
    return Checkup(
        check.part,
        State.FAIL,
        f"There was no answer within {check.limit:,.0f} s.",
        "What is behind it hangs: a network file system, a server, a lock.",
    )


def _unknown(check: Check) -> Checked:
    state = State.FAIL if check.needed else State.WARN
    found = Checkup(check.part, state, "It is being looked at for the first time.")
    return Checked(found, check.needed, datetime.now(UTC), 0.0)
