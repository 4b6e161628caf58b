"""How many requests a caller may still make: one row a caller, exact over all processes.

The generic cell rate algorithm keeps one number a caller: when its next request would come if all
came evenly. A request is let through while that is no further ahead than a whole minute's worth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite

from asset_pipeline.ledger.access import LedgerAccess
from asset_pipeline.ledger.service_schema import request_rates

_MINUTE_US = 60_000_000
_EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a caller has left.

    Attributes:
        granted: How many of those asked for are let through.
        remaining: How many more it could make at once.
        retry_after: Seconds until the next one is let through; zero while there is one.
    """

    granted: int
    limit: int
    remaining: int
    retry_after: float


class RequestRates(LedgerAccess):
    """All callers' rows."""

    def take(self, asked: Mapping[str, tuple[int, int]]) -> dict[str, Allowance]:
        """Take requests for several callers in one transaction.

        Args:
            asked: By caller, how many requests it makes and how many it may make in a minute.
        """
        with self._writing() as (connection, now):
            at = (now - _EPOCH) // timedelta(microseconds=1)
            return {
                name: _take(connection, name, count, limit, at)
                for name, (count, limit) in sorted(asked.items())
            }


def _take(connection: Connection, name: str, count: int, limit: int, at: int) -> Allowance:
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    connection.execute(
        dialect.insert(request_rates).values(name=name, next_us=0).on_conflict_do_nothing()
    )
    begins = max(connection.execute(_LOCKED, {"name": name}).scalar_one(), at)
    interval = _MINUTE_US // limit
    free = max(0, (at + _MINUTE_US - begins) // interval)
    granted = min(count, free)
    if granted:
        values = {"of": name, "next": begins + granted * interval}
        connection.execute(_SET, values)
    remaining = free - granted
    behind = begins + granted * interval - at
    wait = 0.0 if remaining else max(0, behind + interval - _MINUTE_US) / 1_000_000
    return Allowance(granted, limit, remaining, wait)


_LOCKED = (
    select(request_rates.c.next_us)
    .where(request_rates.c.name == bindparam("name"))
    .with_for_update()
)
_SET = (
    update(request_rates)
    .where(request_rates.c.name == bindparam("of"))
    .values(next_us=bindparam("next"))
)
