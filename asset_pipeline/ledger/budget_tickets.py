"""The queue across processes for reserved money that may be released.

A reservation is not a charge: most of it is released where a price by time is reserved for the
longest time. What does not fit now waits as long as money is held that may come back. One row a
process and budget says who waits, so that a dear clip is not starved by cheap ones elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, RowMapping, bindparam, delete, insert, select, update

from asset_pipeline.catalog.terms import terms_from
from asset_pipeline.ledger import postings, workers
from asset_pipeline.ledger.budget_scopes import within
from asset_pipeline.ledger.budgets import BudgetLine
from asset_pipeline.ledger.postings import BudgetExceededError, ComingBack
from asset_pipeline.ledger.schema import OPEN_STATES, IntentState, intents, waiting
from asset_pipeline.money import MicroUsd

# A waiting process asks twice a second; one that was silent for so long is gone or done.
_SILENT_AFTER = timedelta(seconds=10)

# An intent that nothing was written of for so long, past its own deadline, is driven by nobody,
# though its process may live: a store that is away is waited for fifteen minutes.
_LONGEST_STEP = timedelta(minutes=20)


@dataclass(frozen=True, slots=True)
class Ticket:
    """One place in the order of those that wait."""

    number: int
    worker_id: str
    budget: str


def tickets(connection: Connection, now: datetime) -> list[Ticket]:
    """Return who waits, in the order of coming."""
    # A ticket from the future comes from a clock that was set back, or that is wrong.
    times = {"silent": now - _SILENT_AFTER, "ahead": now + _SILENT_AFTER}
    return [Ticket(*row) for row in connection.execute(_TICKETS, times)]


def check_turn(
    found: Sequence[Ticket], lines: Sequence[BudgetLine], worker_id: str, needed: MicroUsd
) -> None:
    """Refuse a process while an earlier one waits for the same budget.

    Raises:
        BudgetExceededError: Somebody comes first; see :func:`outlook`.
    """
    ahead = _ahead(found, lines, worker_id)
    if needed and ahead is not None:
        raise BudgetExceededError(ahead.budget, headroom=MicroUsd(0), needed=needed)


def outlook(
    connection: Connection,
    breach: BudgetExceededError,
    lines: Sequence[BudgetLine],
    worker_id: str,
    now: datetime,
) -> BudgetExceededError:
    """Decide about a refused reservation: wait with a place in the queue, or fail.

    It fails if the money would not suffice even after all possible releases.
    """
    ahead = _ahead(tickets(connection, now), lines, worker_id)
    waits_for: ComingBack | None = None
    for line in lines:
        balance = postings.balance(connection, line.budget)
        coming = coming_back(connection, line, worker_id, now)
        stuck = balance.reserved - coming.here - coming.elsewhere
        if breach.needed > line.cap - balance.charged - stuck:
            leave(connection, worker_id)
            return BudgetExceededError(
                line.budget, headroom=balance.headroom, needed=breach.needed, held=stuck
            )
        if line.budget == breach.budget:
            # If there is room by now, or another process's turn has come, try again.
            again = ahead is not None or breach.needed <= balance.headroom
            waits_for = ComingBack(coming.here, coming.elsewhere, again=again)
    _join(connection, worker_id, breach.budget, now)
    return BudgetExceededError(
        breach.budget, headroom=breach.headroom, needed=breach.needed, coming_back=waits_for
    )


def leave(connection: Connection, worker_id: str) -> None:
    """Remove a process from the queue."""
    connection.execute(delete(waiting).where(waiting.c.worker_id == worker_id))


def _ahead(found: Sequence[Ticket], lines: Sequence[BudgetLine], worker_id: str) -> Ticket | None:
    """Return who waits for one of these budgets and came before this process, if anybody."""
    budgets = {line.budget for line in lines}
    for ticket in found:
        if ticket.budget in budgets:
            return None if ticket.worker_id == worker_id else ticket
    return None


def _join(connection: Connection, worker_id: str, budget: str, now: datetime) -> None:
    """Join the end of the queue, or keep the place that the process has."""
    place = {"worker": worker_id, "of": budget, "now": now}
    if connection.execute(_SEEN, place).rowcount:
        return
    gone = now - 6 * _SILENT_AFTER
    connection.execute(delete(waiting).where(waiting.c.seen_at < gone))
    connection.execute(insert(waiting).values(worker_id=worker_id, budget=budget, seen_at=now))


def coming_back(
    connection: Connection, line: BudgetLine, worker_id: str, now: datetime
) -> ComingBack:
    """Return what a budget holds for intents of living processes."""
    rows = connection.execute(
        select(
            intents.c.worker_id,
            intents.c.state,
            intents.c.reserved_microusd,
            intents.c.updated_at,
            intents.c.terms_json,
        ).where(
            intents.c.state.in_(OPEN_STATES),
            intents.c.state != IntentState.QUESTION.value,
            intents.c.reserved_microusd > 0,
            within(line.budget, line.period, line.period_start),
        )
    ).mappings()
    here = elsewhere = 0
    alive: dict[str, bool] = {worker_id: True}
    for row in rows:
        owner = row["worker_id"]
        if owner not in alive:
            alive[owner] = workers.is_alive(connection, owner, now)
        if owner == worker_id:
            here += row["reserved_microusd"]
        elif alive[owner] and _is_under_way(row, now):
            elsewhere += row["reserved_microusd"]
    return ComingBack(here, elsewhere)


def _is_under_way(row: RowMapping, now: datetime) -> bool:
    silent = now - row["updated_at"]
    if silent < _LONGEST_STEP:
        return True
    if row["state"] != IntentState.SUBMITTED.value or row["terms_json"] is None:
        return False
    longest = timedelta(seconds=terms_from(row["terms_json"]).max_predict_seconds)
    return silent < longest + _LONGEST_STEP


_TICKETS = (
    select(waiting.c.ticket, waiting.c.worker_id, waiting.c.budget)
    .where(waiting.c.seen_at >= bindparam("silent"), waiting.c.seen_at <= bindparam("ahead"))
    .order_by(waiting.c.ticket)
)
_SEEN = (
    update(waiting)
    .where(waiting.c.worker_id == bindparam("worker"), waiting.c.budget == bindparam("of"))
    .values(seen_at=bindparam("now"))
)
