"""The rate of creates in the ledger: all processes that share it lease their slots here, in turn.

A slot is the moment at which one create may go out. A process leases a few at a time, as many as
its clips wait for and never more than half a second's worth, so that the others' turns come in
between and the ledger is written once for several creates.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from asset_pipeline.ledger.access import LedgerAccess
from asset_pipeline.ledger.schema import intents, rate_limits

CREATES = "creates"

# Creates reach the provider a little later or sooner than they were due. At 98% of the limit a
# minute of 600 has room for the creates of a second that was held up.
_HEADROOM = 0.98

# Time that went by unused is worth a small burst, never more: it makes good for a slow disk.
BURST = timedelta(seconds=0.5)

# A 429 leaves so much of the rate, and each second without one gives so much back: from 70% to 100%
# in a minute. The least is what Replicate grants an account that is out of credit: 6 of 600.
_AFTER_THROTTLE = 0.7
_BACK_A_SECOND = 0.005
_LEAST_SHARE = 0.01

# A 429 that comes so soon after a pause is the answer to a create that went out before it.
_ON_THE_WAY = timedelta(seconds=1)

_LONGEST_WAIT = timedelta(hours=1)

# A slot that lies further ahead was leased by a clock that has been set back since.
_FURTHEST = timedelta(minutes=10)
_FURTHEST_SLOTS = 200


@dataclass(frozen=True, slots=True)
class Rate:
    """One row of ``rate_limits``.

    Attributes:
        share: The part of the configured rate that is in force since the last 429.
        next_slot_at: The first slot that nobody has leased.
        paused_until: Nothing goes out before: the provider said so.
        throttles: How often the rate was lowered.
    """

    name: str
    per_minute: int
    share: float
    next_slot_at: datetime
    paused_until: datetime | None
    throttled_at: datetime | None
    throttles: int
    updated_at: datetime

    def share_at(self, now: datetime) -> float:
        """Return the share as time has raised it."""
        since = max(self.updated_at, self.paused_until or self.updated_at)
        seconds = max(0.0, (now - since).total_seconds())
        return min(1.0, self.share + seconds * _BACK_A_SECOND)


@dataclass(frozen=True, slots=True)
class Lease:
    """Slots that are this process's own: ``count`` of them, ``interval`` apart."""

    first_at: datetime
    interval: timedelta
    count: int


def new_rate(name: str, per_minute: int, now: datetime) -> Rate:
    """Return a rate that nobody has used yet."""
    return Rate(
        name=name,
        per_minute=per_minute,
        share=1.0,
        next_slot_at=now,
        paused_until=None,
        throttled_at=None,
        throttles=0,
        updated_at=now,
    )


def lease(rate: Rate, count: int, per_minute: int, now: datetime) -> tuple[Rate, Lease]:
    """Take the next slots.

    Args:
        rate: As it stands.
        count: Slots wanted.
        per_minute: The configured rate of who asks, at least 1.
        now: The time.
    """
    share = rate.share_at(now)
    interval = timedelta(minutes=1) / (per_minute * _HEADROOM * share)
    first = max(rate.next_slot_at, now - BURST)
    if first - now > max(_FURTHEST, _FURTHEST_SLOTS * interval):
        first = now
    taken = replace(
        rate,
        per_minute=per_minute,
        share=share,
        next_slot_at=first + count * interval,
        updated_at=now,
    )
    return taken, Lease(first, interval, count)


def throttled(rate: Rate, seconds: float, now: datetime) -> Rate:
    """Return the rate after a 429: paused, and lowered once for all that were sent too fast.

    Args:
        rate: As it stands.
        seconds: The pause that the provider asks for.
        now: The time.
    """
    held = paused(rate, seconds, now)
    if rate.paused_until is not None and now < rate.paused_until + _ON_THE_WAY:
        return held  # it was sent before the pause, with the one that began it
    return replace(
        held,
        share=max(_LEAST_SHARE, rate.share_at(now) * _AFTER_THROTTLE),
        throttled_at=now,
        throttles=rate.throttles + 1,
    )


def paused(rate: Rate, seconds: float, now: datetime) -> Rate:
    """Return the rate with no slot before so many seconds are over."""
    until = max(rate.paused_until or now, now + timedelta(seconds=seconds))
    return replace(
        rate,
        share=rate.share_at(now),
        paused_until=until,
        next_slot_at=max(rate.next_slot_at, until),
        updated_at=now,
    )


class RateLimitRepository(LedgerAccess):
    """Reads and moves the rate; every method is one transaction."""

    def get(self) -> Rate | None:
        """Return the rate as it stands; None before anything was leased."""
        with self._reading() as connection:
            row = connection.execute(_GET, {"of_name": CREATES}).mappings().one_or_none()
            return None if row is None else Rate(**row)

    def sent_since(self, since: datetime) -> int:
        """Return how many creates went out after a time, of all processes."""
        sent = select(func.count()).where(
            # By the index: what waits for its turn was reserved a while before.
            intents.c.created_at > since - _LONGEST_WAIT,
            intents.c.submitted_at > since,
        )
        with self._reading() as connection:
            return connection.execute(sent).scalar_one()

    def lease(self, count: int, per_minute: int) -> Lease:
        """Take the next ``count`` slots at a configured rate of ``per_minute``, at least 1."""
        leased: list[Lease] = []

        def take(rate: Rate, now: datetime) -> Rate:
            taken, slots = lease(rate, count, per_minute, now)
            leased.append(slots)
            return taken

        self._move(per_minute, take)
        return leased[-1]

    def throttle(self, seconds: float, per_minute: int) -> None:
        """Pause all processes and lower the rate, after a 429; see :func:`throttled`."""
        self._move(per_minute, lambda rate, now: throttled(rate, seconds, now))

    def pause(self, seconds: float, per_minute: int) -> None:
        """Let no process send for so long: the provider's limit is used up."""
        self._move(per_minute, lambda rate, now: paused(rate, seconds, now))

    def _move(self, per_minute: int, step: Callable[[Rate, datetime], Rate]) -> None:
        with self._writing() as (connection, now):
            row = connection.execute(_LOCK, {"of_name": CREATES}).mappings().one_or_none()
            if row is None:
                _open_row(connection, new_rate(CREATES, per_minute, now))
                # Read again: on Postgres another process may have been faster.
                row = connection.execute(_LOCK, {"of_name": CREATES}).mappings().one()
            moved = step(Rate(**row), now)
            connection.execute(_UPDATE, {"of_name": CREATES} | _columns(moved))


def _open_row(connection: Connection, rate: Rate) -> None:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    row = {"name": rate.name} | _columns(rate)
    connection.execute(dialect.insert(rate_limits).values(row).on_conflict_do_nothing())


def _columns(rate: Rate) -> dict[str, object]:
    return {name: getattr(rate, name) for name in _COLUMNS}


# Statements are built once: building one costs as much as SQLite needs to run it.
_COLUMNS = tuple(field.name for field in fields(Rate) if field.name != "name")
_GET = select(rate_limits).where(rate_limits.c.name == bindparam("of_name"))
_LOCK = _GET.with_for_update()
_UPDATE = (
    update(rate_limits)
    .where(rate_limits.c.name == bindparam("of_name"))
    .values({name: bindparam(name) for name in _COLUMNS})
)
