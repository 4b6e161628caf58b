"""The four movements of money. Each changes balances and writes its entries in one transaction.

All take the caller's connection, so that a movement and the state change it belongs to are
committed together or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, case, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from asset_pipeline.errors import AssetPipelineError, ExitCode
from asset_pipeline.ledger.caps import BudgetLine
from asset_pipeline.ledger.records import BudgetBalance, budget_from
from asset_pipeline.ledger.schema import EntryType, budgets, entries
from asset_pipeline.money import MicroUsd, format_usd

_USED = budgets.c.charged_microusd + budgets.c.reserved_microusd


class BudgetExceededError(AssetPipelineError):
    """A reservation would pass a cap: nothing was sent and nothing is reserved."""

    exit_code = ExitCode.BUDGET

    def __init__(self, budget: str, *, headroom: MicroUsd, needed: MicroUsd) -> None:
        super().__init__(
            f"Budget {budget!r} has {format_usd(headroom)} left and "
            f"{format_usd(needed)} is needed.",
            hint="Raise the cap in budgets.yaml, or wait for the next period.",
        )
        self.budget = budget
        self.headroom = headroom
        self.needed = needed


def sync_caps(connection: Connection, lines: Iterable[BudgetLine], now: datetime) -> None:
    """Open the budgets that don't exist yet and record caps that were edited, as entries."""
    for line in lines:
        cap = connection.execute(
            select(budgets.c.cap_microusd).where(budgets.c.budget == line.budget)
        ).scalar()
        if cap == line.cap:
            continue
        if cap is None:
            moved = _open_budget(connection, line, now)
        else:
            moved = connection.execute(
                update(budgets)
                .where(budgets.c.budget == line.budget, budgets.c.cap_microusd == cap)
                .values(cap_microusd=line.cap, overdrawn_microusd=_excess(_USED - line.cap))
            ).rowcount
        if moved:
            delta = line.cap - (cap or 0)
            _write_entries(connection, [line.budget], EntryType.ADJUST, delta, now)


def reserve(
    connection: Connection,
    intent_id: str,
    lines: Sequence[BudgetLine],
    amount: MicroUsd,
    now: datetime,
) -> BudgetExceededError | None:
    """Take ``amount`` from every budget, or from none.

    Returns:
        The refusal, or None when the money is set aside. It is returned rather than raised so
        that the caller's transaction, which has recorded edited caps, can still commit.
    """
    if not amount:
        return None  # what is free fits everywhere, an overdrawn budget included
    savepoint = connection.begin_nested()
    for line in lines:
        taken = connection.execute(
            update(budgets)
            .where(budgets.c.budget == line.budget, _USED + amount <= budgets.c.cap_microusd)
            .values(reserved_microusd=budgets.c.reserved_microusd + amount)
        ).rowcount
        if not taken:
            savepoint.rollback()
            headroom = balance(connection, line.budget).headroom
            return BudgetExceededError(line.budget, headroom=headroom, needed=amount)
    savepoint.commit()
    names = [line.budget for line in lines]
    _write_entries(connection, names, EntryType.RESERVE, amount, now, intent_id)
    return None


def charge(
    connection: Connection, intent_id: str, amount: MicroUsd, covered: MicroUsd, now: datetime
) -> None:
    """Turn reserved money into owed money.

    Args:
        connection: The caller's transaction.
        intent_id: The intent that pays.
        amount: What the provider is owed. It is recorded in full even when it passes what was
            reserved, because a ledger that hides a debt is worse than an overdrawn budget.
        covered: The part of it that was reserved, and is released.
        now: The time of the entry.
    """
    if not amount:
        return
    names = _budgets_of(connection, intent_id)
    _move(connection, names, charged=amount, reserved=-covered)
    _write_entries(connection, names, EntryType.CHARGE, amount, now, intent_id)
    _write_entries(connection, names, EntryType.RELEASE, covered, now, intent_id)


def charge_unreserved(
    connection: Connection,
    intent_id: str,
    lines: Iterable[BudgetLine],
    amount: MicroUsd,
    now: datetime,
) -> None:
    """Write what is owed already though nothing was reserved for it; it may overdraw budgets."""
    names = [line.budget for line in lines]
    _move(connection, names, charged=amount, reserved=0)
    _write_entries(connection, names, EntryType.CHARGE, amount, now, intent_id)


def release(connection: Connection, intent_id: str, amount: MicroUsd, now: datetime) -> None:
    """Give reserved money back to every budget that it came from."""
    if not amount:
        return
    names = _budgets_of(connection, intent_id)
    _move(connection, names, charged=0, reserved=-amount)
    _write_entries(connection, names, EntryType.RELEASE, amount, now, intent_id)


def balance(connection: Connection, budget: str) -> BudgetBalance:
    """Return one budget as it stands inside the caller's transaction."""
    rows = connection.execute(select(budgets).where(budgets.c.budget == budget))
    return budget_from(rows.mappings().one())


def balances(connection: Connection) -> list[BudgetBalance]:
    """Return all budgets as they stand, by name."""
    rows = connection.execute(select(budgets).order_by(budgets.c.budget))
    return [budget_from(row) for row in rows.mappings()]


def _excess(over: ColumnElement[int]) -> ColumnElement[int]:
    return case((over > 0, over), else_=0)


def _move(connection: Connection, names: Iterable[str], *, charged: int, reserved: int) -> None:
    # One statement a budget, in the order of the names: a single UPDATE over several rows locks
    # them in any order on Postgres, and two of those can deadlock.
    for name in names:
        connection.execute(
            update(budgets)
            .where(budgets.c.budget == name)
            .values(
                charged_microusd=budgets.c.charged_microusd + charged,
                reserved_microusd=budgets.c.reserved_microusd + reserved,
                overdrawn_microusd=_excess(_USED + charged + reserved - budgets.c.cap_microusd),
            )
        )


def _open_budget(connection: Connection, line: BudgetLine, now: datetime) -> bool:
    """Insert a budget and tell whether it was this transaction that did."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    made = connection.execute(
        dialect.insert(budgets)
        .values(
            budget=line.budget,
            period=line.period,
            period_start=line.period_start,
            cap_microusd=line.cap,
            created_at=now,
        )
        .on_conflict_do_nothing()
        .returning(budgets.c.budget)  # psycopg's row count of an insert says nothing
    )
    return made.first() is not None


def _budgets_of(connection: Connection, intent_id: str) -> list[str]:
    return list(
        connection.execute(
            select(entries.c.budget)
            .where(entries.c.intent_id == intent_id, entries.c.type == EntryType.RESERVE)
            .order_by(entries.c.budget)
        ).scalars()
    )


def _write_entries(
    connection: Connection,
    names: Iterable[str],
    entry: EntryType,
    amount: int,
    now: datetime,
    intent_id: str | None = None,
) -> None:
    if amount:
        rows = [
            {
                "intent_id": intent_id,
                "budget": name,
                "type": entry.value,
                "amount_microusd": amount,
                "created_at": now,
            }
            for name in names
        ]
        connection.execute(insert(entries), rows)
