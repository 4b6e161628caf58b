"""The four movements of money. Each changes balances and writes its entries in one transaction.

All take the caller's connection, so that a movement and the state change it belongs to are
committed together or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    bindparam,
    case,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from asset_pipeline.errors import AssetPipelineError, ExitCode
from asset_pipeline.ledger.caps import BudgetLine
from asset_pipeline.ledger.records import BudgetBalance, budget_from
from asset_pipeline.ledger.schema import EntryType, budgets, entries
from asset_pipeline.money import MicroUsd, format_usd


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
        cap = connection.execute(_CAP, {"name": line.budget}).scalar()
        if cap == line.cap:
            continue
        if cap is None:
            moved = _open_budget(connection, line, now)
        else:
            edit = {"name": line.budget, "old": cap, "new": line.cap}
            moved = connection.execute(_EDIT_CAP, edit).rowcount
        if moved:
            delta = line.cap - (cap or 0)
            _write_entries(connection, [line.budget], {EntryType.ADJUST: delta}, now)


def reserve(
    connection: Connection,
    intent_id: str,
    lines: Sequence[BudgetLine],
    amount: MicroUsd,
    now: datetime,
) -> None:
    """Take ``amount`` from every budget.

    Raises:
        BudgetExceededError: One has no headroom; the caller rolls back what the others gave.
    """
    if not amount:
        sync_caps(connection, lines, now)
        return  # what is free fits everywhere, an overdrawn budget included
    for line in lines:
        take = {"name": line.budget, "cap": line.cap, "amount": amount}
        if connection.execute(_TAKE, take).rowcount:
            continue
        # Either there is no headroom, or the budget is new or its cap was edited.
        sync_caps(connection, [line], now)
        if not connection.execute(_TAKE, take).rowcount:
            headroom = balance(connection, line.budget).headroom
            raise BudgetExceededError(line.budget, headroom=headroom, needed=amount)
    names = [line.budget for line in lines]
    _write_entries(connection, names, {EntryType.RESERVE: amount}, now, intent_id)


def reserved_at_first(connection: Connection, intent_id: str) -> MicroUsd:
    """Return what was set aside for an intent when it began."""
    return MicroUsd(connection.execute(_RESERVED_FIRST, {"intent": intent_id}).scalar() or 0)


def reserve_owed(connection: Connection, intent_id: str, amount: MicroUsd, now: datetime) -> None:
    """Set aside what is owed already, under the budgets that it fell under: overdrawn or not."""
    if not amount:
        return
    names = _budgets_of(connection, intent_id)
    _move(connection, names, charged=0, reserved=amount)
    _write_entries(connection, names, {EntryType.RESERVE: amount}, now, intent_id)


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
    amounts = {EntryType.CHARGE: amount, EntryType.RELEASE: covered}
    _write_entries(connection, names, amounts, now, intent_id)


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
    _write_entries(connection, names, {EntryType.CHARGE: amount}, now, intent_id)


def release(connection: Connection, intent_id: str, amount: MicroUsd, now: datetime) -> None:
    """Give reserved money back to every budget that it came from."""
    if not amount:
        return
    names = _budgets_of(connection, intent_id)
    _move(connection, names, charged=0, reserved=-amount)
    _write_entries(connection, names, {EntryType.RELEASE: amount}, now, intent_id)


def balance(connection: Connection, budget: str) -> BudgetBalance:
    """Return one budget as it stands inside the caller's transaction."""
    rows = connection.execute(select(budgets).where(budgets.c.budget == budget))
    return budget_from(rows.mappings().one())


def balances(connection: Connection) -> list[BudgetBalance]:
    """Return all budgets as they stand, by name."""
    rows = connection.execute(select(budgets).order_by(budgets.c.budget))
    return [budget_from(row) for row in rows.mappings()]


def _move(connection: Connection, names: Iterable[str], *, charged: int, reserved: int) -> None:
    # One statement a budget, in the order of the names: a single UPDATE over several rows locks
    # them in any order on Postgres, and two of those can deadlock.
    moves = [{"name": name, "charged": charged, "reserved": reserved} for name in names]
    if moves:
        connection.execute(_MOVE, moves)


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
    return list(connection.execute(_BUDGETS_OF, {"intent": intent_id}).scalars())


def _write_entries(
    connection: Connection,
    names: Iterable[str],
    amounts: Mapping[EntryType, int],
    now: datetime,
    intent_id: str | None = None,
) -> None:
    rows = [
        {
            "intent_id": intent_id,
            "budget": name,
            "type": entry.value,
            "amount_microusd": amount,
            "created_at": now,
        }
        for entry, amount in amounts.items()
        for name in names
        if amount
    ]
    if rows:
        connection.execute(_INSERT_ENTRY, rows)


def _excess(over: ColumnElement[int]) -> ColumnElement[int]:
    return case((over > 0, over), else_=0)


# Statements are built once: building one costs as much as SQLite needs to run it.
_USED = budgets.c.charged_microusd + budgets.c.reserved_microusd
_OF_NAME = budgets.c.budget == bindparam("name")
_CAP = select(budgets.c.cap_microusd).where(_OF_NAME)
_EDIT_CAP = (
    update(budgets)
    .where(_OF_NAME, budgets.c.cap_microusd == bindparam("old"))
    .values(
        cap_microusd=bindparam("new"),
        overdrawn_microusd=_excess(_USED - bindparam("new", type_=BigInteger)),
    )
)
_TAKE = (
    update(budgets)
    .where(
        _OF_NAME,
        budgets.c.cap_microusd == bindparam("cap"),
        _USED + bindparam("amount") <= budgets.c.cap_microusd,
    )
    .values(reserved_microusd=budgets.c.reserved_microusd + bindparam("amount"))
)
_CHARGED = bindparam("charged", type_=BigInteger)
_RESERVED = bindparam("reserved", type_=BigInteger)
_MOVE = (
    update(budgets)
    .where(_OF_NAME)
    .values(
        charged_microusd=budgets.c.charged_microusd + _CHARGED,
        reserved_microusd=budgets.c.reserved_microusd + _RESERVED,
        overdrawn_microusd=_excess(_USED + _CHARGED + _RESERVED - budgets.c.cap_microusd),
    )
)
_INSERT_ENTRY = insert(entries)
_RESERVED_FIRST = (
    select(entries.c.amount_microusd)
    .where(entries.c.intent_id == bindparam("intent"), entries.c.type == EntryType.RESERVE.value)
    .order_by(entries.c.entry_id)
    .limit(1)
)
_BUDGETS_OF = (
    select(entries.c.budget)
    .distinct()
    .where(entries.c.intent_id == bindparam("intent"), entries.c.type == EntryType.RESERVE.value)
    .order_by(entries.c.budget)
)
