"""Access to the ledger's database, for the repositories in this package."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime

from sqlalchemy import Connection, Engine

from asset_pipeline.clock import Clock
from asset_pipeline.ledger.column_types import in_utc
from asset_pipeline.ledger.transactions import transaction


class LedgerAccess:
    """A ledger's database and the clock that stamps what is written to it.

    Methods of what derives from it block; asynchronous callers run them in a thread.

    Args:
        engine: From :func:`asset_pipeline.ledger.engine.open_engine`.
        clock: Stamps every row.
    """

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self.engine = engine
        self._clock = clock

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()

    @contextmanager
    def _writing(self) -> Generator[tuple[Connection, datetime]]:
        with transaction(self.engine) as connection:
            yield connection, in_utc(self._clock.now())

    def _reading(self) -> AbstractContextManager[Connection]:
        return transaction(self.engine, reading=True)
