"""Group commit: waiting transactions share one sync to the disk.

SQLite lets one writer in at a time and syncs the disk at each commit. In a batch sixty predictions
end in the same moment and each has something to write; one by one that took two thirds of a second,
in which no place that had become free was filled.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from sqlalchemy import Engine

from asset_pipeline.ledger.engine import LedgerError
from asset_pipeline.ledger.transactions import shared_transaction, undone_again

# Other processes wait for the lock meanwhile: about 50 ms.
_LARGEST = 64

T = TypeVar("T")


class Writing(Protocol):
    """Runs the ledger's blocking steps, off the event loop."""

    async def run(self, step: Callable[[], T], /) -> T:
        """Run a step; whatever it wrote is on the disk when this returns."""
        ...


@dataclass(frozen=True, slots=True)
class _Work:
    """A step that writes to the ledger, and who waits for it."""

    step: Callable[[], Any]
    future: asyncio.Future[Any]


@dataclass(frozen=True, slots=True)
class _Outcome:
    result: Any = None
    error: BaseException | None = None


class GroupCommit:
    """Runs the ledger's blocking steps in one thread, in the order of coming.

    Steps that wait when the thread is free become one transaction, each a part that fails for
    itself. Whoever waits for a step hears of its end when the whole transaction is on the disk.
    A step whose waiter is cancelled before it begins is never run. What is only read takes the
    write lock too when it is in a group.

    Args:
        engine: The ledger's. Only SQLite gains: Postgres has many writers at a time, and a
            transaction over several steps would hold their locks against each other.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._largest = _LARGEST if engine.dialect.name == "sqlite" else 1
        self._waiting: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._is_closed = False
        # A daemon: a process that is torn down without closing it must not wait for it.
        self._thread = threading.Thread(target=self._serve, name="ledger", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Wait until everything asked for before has run."""
        self._is_closed = True
        self._waiting.put(None)
        self._thread.join()

    async def run(self, step: Callable[[], T], /) -> T:
        """Run a step; see :class:`Writing`.

        Raises:
            RuntimeError: The thread has ended.
        """
        if self._is_closed:
            raise RuntimeError("The ledger's thread has ended with its session.")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.put(_Work(step, future))
        return await future

    def _serve(self) -> None:
        ended = False
        while not ended:
            work = self._waiting.get()
            group: list[_Work] = []
            while work is not None:
                if not work.future.cancelled():
                    group.append(work)
                if len(group) == self._largest or self._waiting.empty():
                    break
                work = self._waiting.get()
            ended = work is None
            if group:
                self._run(group)

    def _run(self, group: Sequence[_Work]) -> None:
        outcomes = self._together(group) if len(group) > 1 else None
        if outcomes is None:
            outcomes = [_alone(work) for work in group]
        # A loop that was closed meanwhile has nobody left who waits.
        with contextlib.suppress(RuntimeError):
            group[0].future.get_loop().call_soon_threadsafe(_tell, group, outcomes)

    def _together(self, group: Sequence[_Work]) -> list[_Outcome] | None:
        """Run steps as one transaction; None, with nothing written, when the database fails.

        Each is then run alone, and finds out for itself what is wrong.
        """
        try:
            with shared_transaction(self._engine):
                return _parts(group)
        except Exception:  # noqa: BLE001 -- at the commit anything may go wrong, and all wait here
            return None


def _parts(group: Sequence[_Work]) -> list[_Outcome]:
    outcomes: list[_Outcome] = []
    for work in group:
        outcome = _alone(work)
        # A full disk ends SQLite's whole transaction, not the part alone: what came after it would
        # be committed by itself.
        if isinstance(outcome.error, LedgerError):
            raise outcome.error
        outcomes.append(outcome)
    return outcomes


def _alone(work: _Work) -> _Outcome:
    try:
        return _Outcome(undone_again(work.step))
    except StopIteration as error:
        # No future takes it.
        return _Outcome(error=RuntimeError(f"a step of the ledger ended with {error!r}"))
    except BaseException as error:  # noqa: BLE001 -- a thread that ended would leave all waiting
        return _Outcome(error=error)


def _tell(group: Sequence[_Work], outcomes: Sequence[_Outcome]) -> None:
    for work, outcome in zip(group, outcomes, strict=True):
        if work.future.done():
            continue
        if outcome.error is not None:
            work.future.set_exception(outcome.error)
        else:
            work.future.set_result(outcome.result)
