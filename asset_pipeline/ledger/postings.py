"""Postings: each changes balances and writes its entries in one transaction.

All take the caller's connection, so that a movement and the state change it belongs to are
committed together or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    bindparam,
    case,
    func,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from asset_pipeline.errors import AssetPipelineError, ExitCode
from asset_pipeline.ledger.budget_scopes import TOTAL, scope_of, within
from asset_pipeline.ledger.budgets import BudgetLine
from asset_pipeline.ledger.column_types import UtcDateTime
from asset_pipeline.ledger.records import UNCAPPED, BudgetBalance, budget_from
from asset_pipeline.ledger.schema import EntryType, budgets, entries, intents
from asset_pipeline.money import MicroUsd, format_usd


@dataclass(frozen=True, slots=True)
class ComingBack:
    """What a budget holds that may be given back, in micro-dollars.

    Attributes:
        here: For intents of the process that asks, whether or not it is at them.
        elsewhere: For those of other processes that live.
        again: Whether to try again anyway: another process is first, or there is room now.
    """

    here: int
    elsewhere: int
    again: bool = False


class BudgetExceededError(AssetPipelineError):
    """A reservation would pass a cap: nothing was sent and nothing is reserved.

    Attributes:
        held: What is held by intents that nobody is at, in micro-dollars.
        coming_back: What is held and may come back, so that waiting helps; None when it is final.
    """

    exit_code = ExitCode.BUDGET

    def __init__(
        self,
        budget: str,
        *,
        headroom: MicroUsd,
        needed: MicroUsd,
        held: int = 0,
        coming_back: ComingBack | None = None,
    ) -> None:
        stuck = f", {format_usd(held)} is held by what nobody is at" if held else ""
        super().__init__(
            f"Budget {budget!r} has {format_usd(headroom)} left and "
            f"{format_usd(needed)} is needed{stuck}.",
            hint="Raise the cap in budgets.yaml, or wait for the next period.",
        )
        self.budget = budget
        self.headroom = headroom
        self.needed = needed
        self.held = held
        self.coming_back = coming_back


def sync_caps(
    connection: Connection,
    lines: Iterable[BudgetLine],
    now: datetime,
    besides: str | None = None,
) -> None:
    """Open the budgets that don't exist yet and record caps that were edited, as entries.

    Args:
        connection: The caller's transaction.
        lines: What is configured.
        now: The time of the entries.
        besides: An intent that a new budget does not count yet.
    """
    for line in lines:
        cap = connection.execute(_CAP, {"name": line.budget}).scalar()
        if cap == line.cap:
            continue
        _hold_total(connection)
        if cap is None:
            _open_budget(connection, line, now, besides)
        else:
            _edit_cap(connection, line.budget, cap, line.cap, now)


def reserve(
    connection: Connection,
    intent_id: str,
    lines: Sequence[BudgetLine],
    amount: MicroUsd,
    now: datetime,
) -> None:
    """Take ``amount`` from every budget.

    Those that exist and have no cap any more count it too.

    Raises:
        BudgetExceededError: One has no headroom; the caller rolls back what the others gave.
    """
    if not amount:
        sync_caps(connection, lines, now, besides=intent_id)
        return  # what is free fits everywhere, an overdrawn budget included
    for line in lines:
        take = {"name": line.budget, "cap": line.cap, "amount": amount}
        if connection.execute(_TAKE, take).rowcount:
            continue
        # Either there is no headroom, or the budget is new or its cap was edited.
        sync_caps(connection, [line], now, besides=intent_id)
        if not connection.execute(_TAKE, take).rowcount:
            headroom = balance(connection, line.budget).headroom
            raise BudgetExceededError(line.budget, headroom=headroom, needed=amount)
    capped = [line.budget for line in lines]
    others = [name for name in _counting(connection, intent_id) if name not in capped]
    for name in others:
        _lift_cap(connection, name, now)
    _change(connection, others, charged=0, reserved=amount)
    _write_entries(connection, [*capped, *others], {EntryType.RESERVE: amount}, now, intent_id)


def reserved_at_first(connection: Connection, intent_id: str) -> MicroUsd:
    """Return what was set aside for an intent when it began."""
    return MicroUsd(connection.execute(_RESERVED_FIRST, {"intent": intent_id}).scalar() or 0)


def reserve_owed(connection: Connection, intent_id: str, amount: MicroUsd, now: datetime) -> None:
    """Reserve what is owed already in its budgets, even if that overdraws them."""
    if not amount:
        return
    names = _move(connection, intent_id, charged=0, reserved=amount)
    _write_entries(connection, names, {EntryType.RESERVE: amount}, now, intent_id)


def charge(
    connection: Connection, intent_id: str, amount: MicroUsd, covered: MicroUsd, now: datetime
) -> None:
    """Turn reserved money into owed money.

    Args:
        connection: The caller's transaction.
        intent_id: The intent that pays.
        amount: What the provider is owed. It is recorded in full even when it passes what was
            reserved, because a ledger that hides a debt is worse than an overdrawn budget. A
            correction may be negative.
        covered: The part of it that was reserved, and is released.
        now: The time of the entry.
    """
    if not amount:
        return
    names = _move(connection, intent_id, charged=amount, reserved=-covered)
    amounts = {EntryType.CHARGE: amount, EntryType.RELEASE: covered}
    _write_entries(connection, names, amounts, now, intent_id)


def release(connection: Connection, intent_id: str, amount: MicroUsd, now: datetime) -> None:
    """Give reserved money back to every budget that it came from."""
    if not amount:
        return
    names = _move(connection, intent_id, charged=0, reserved=-amount)
    _write_entries(connection, names, {EntryType.RELEASE: amount}, now, intent_id)


def balance(connection: Connection, budget: str) -> BudgetBalance:
    """Return one budget as it stands inside the caller's transaction."""
    rows = connection.execute(select(budgets).where(budgets.c.budget == budget))
    return budget_from(rows.mappings().one())


def balances(connection: Connection) -> list[BudgetBalance]:
    """Return all budgets as they stand, by name."""
    rows = connection.execute(select(budgets).order_by(budgets.c.budget))
    return [budget_from(row) for row in rows.mappings()]


def sums_in(connection: Connection, line: BudgetLine) -> tuple[int, int]:
    """Return what is charged and reserved in a budget's scope, whether or not it is open."""
    return _sums(connection, within(line.budget, line.period, line.period_start))


def _move(connection: Connection, intent_id: str, *, charged: int, reserved: int) -> list[str]:
    """Change all budgets that an intent falls under, and return their names."""
    # The total first: who holds it sees each budget that another process has opened, and a budget
    # that is opened sees each intent as it is.
    _change(connection, [TOTAL], charged=charged, reserved=reserved)
    names = _counting(connection, intent_id)
    _change(connection, names, charged=charged, reserved=reserved)
    return [TOTAL, *names]


def _change(connection: Connection, names: Iterable[str], *, charged: int, reserved: int) -> None:
    # One statement a budget, in the order of the names: a single UPDATE over several rows locks
    # them in any order on Postgres, and two of those can deadlock.
    moves = [{"name": name, "charged": charged, "reserved": reserved} for name in names]
    if moves:
        connection.execute(_MOVE, moves)


def _counting(connection: Connection, intent_id: str) -> list[str]:
    """Return the budgets beside the total that exist and count an intent, capped or not.

    The caller holds the total.
    """
    names = scope_of(connection, intent_id).budgets[1:]
    asked = {f"name_{place}": names[min(place, len(names) - 1)] for place in range(_MOST_NAMES)}
    return list(connection.execute(_EXISTING, asked).scalars())


def _hold_total(connection: Connection) -> None:
    """Lock the balances until the transaction ends; SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(_HOLD, {"name": TOTAL})


def _open_budget(
    connection: Connection, line: BudgetLine, now: datetime, besides: str | None
) -> None:
    """Insert a budget that counts what was spent and is held in its scope already.

    Nothing happens when another process was faster.
    """
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
    if made.first() is None:
        return
    _write_entries(connection, [line.budget], {EntryType.ADJUST: line.cap}, now)
    inside = within(line.budget, line.period, line.period_start)
    if besides is not None:
        inside &= intents.c.intent_id != besides
    opening = {
        EntryType.RESERVE: intents.c.reserved_microusd,
        EntryType.CHARGE: intents.c.charged_microusd,
    }
    for kind, column in opening.items():
        row = (
            intents.c.intent_id,
            literal(line.budget),
            literal(kind.value),
            column,
            literal(now, UtcDateTime),
        )
        found = select(*row).where(inside, column != 0)
        columns = ["intent_id", "budget", "type", "amount_microusd", "created_at"]
        connection.execute(insert(entries).from_select(columns, found))
    charged, reserved = _sums(connection, inside)
    if reserved or charged:
        _change(connection, [line.budget], charged=charged, reserved=reserved)


def _sums(connection: Connection, inside: ColumnElement[bool]) -> tuple[int, int]:
    """Return what the intents that a condition names are charged and hold."""
    query = select(
        func.coalesce(func.sum(intents.c.charged_microusd), 0),
        func.coalesce(func.sum(intents.c.reserved_microusd), 0),
    )
    charged, reserved = connection.execute(query.where(inside)).one()
    return int(charged), int(reserved)  # Postgres sums integers to decimals


def _edit_cap(connection: Connection, budget: str, old: int, new: int, now: datetime) -> None:
    edit = {"name": budget, "old": old, "new": new}
    if connection.execute(_EDIT_CAP, edit).rowcount:
        _write_entries(connection, [budget], {EntryType.ADJUST: new - old}, now)


def _lift_cap(connection: Connection, budget: str, now: datetime) -> None:
    """Record that a budget has no cap any more; it goes on counting."""
    cap = connection.execute(_CAP, {"name": budget}).scalar_one()
    if cap != UNCAPPED:
        _edit_cap(connection, budget, cap, UNCAPPED, now)


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


# Beside the total: of the collection, the day, the key, the language models, the month, the run.
_MOST_NAMES = 6

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
_EXISTING = (
    select(budgets.c.budget)
    .where(budgets.c.budget.in_([bindparam(f"name_{place}") for place in range(_MOST_NAMES)]))
    .order_by(budgets.c.budget)
)
_HOLD = select(budgets.c.budget).where(_OF_NAME).with_for_update()
