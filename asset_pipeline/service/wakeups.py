"""Waking event streams when the ledger changed: one look a process, however many streams.

SQLite counts the changes of others for each connection, which costs 19 microseconds to ask. On
Postgres streams look again twice a second.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Generator

from sqlalchemy import Connection, Engine

_LOOK_SECONDS = 0.1
_POSTGRES_SECONDS = 0.5


class Wakeups:
    """Wakes whoever watches.

    Args:
        engine: The ledger's.
        stopping: Set when the process is to end.
    """

    def __init__(self, engine: Engine, stopping: asyncio.Event) -> None:
        self._engine = engine
        self._stopping = stopping
        self._changed = asyncio.Event()
        self._watching = 0
        self._looking: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def watching(self) -> Generator[Callable[[float], Awaitable[None]]]:
        """Yield what waits for the next change, or for so many seconds."""
        self._watching += 1
        if self._looking is None or self._looking.done():
            self._looking = asyncio.ensure_future(self._look())

        async def woken(seconds: float) -> None:
            changed = self._changed
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await changed.wait()

        try:
            yield woken
        finally:
            self._watching -= 1

    async def _look(self) -> None:
        sqlite = self._engine.dialect.name == "sqlite"
        with contextlib.ExitStack() as stack:
            connection = None
            if sqlite:
                reading = self._engine.connect().execution_options(reading=True)
                connection = stack.enter_context(reading)
            version = -1
            while self._watching and not self._stopping.is_set():
                found = version + 1 if connection is None else _version(connection)
                if found != version:
                    version = found
                    self._wake()
                await asyncio.sleep(_LOOK_SECONDS if sqlite else _POSTGRES_SECONDS)
        self._wake()

    def _wake(self) -> None:
        # A fresh event for the next change: whoever waits for this one sees it set.
        self._changed.set()
        self._changed = asyncio.Event()


def _version(connection: Connection) -> int:
    found = connection.exec_driver_sql("PRAGMA data_version").scalar_one()
    connection.rollback()  # no snapshot is held between two looks
    return int(found)
