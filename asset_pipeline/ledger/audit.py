"""The audit: derives every balance and state from its entries and lists mismatches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Table, case, func, select, text

from asset_pipeline.ledger.budget_scopes import TOTAL, Scope
from asset_pipeline.ledger.double_payments import double_payments
from asset_pipeline.ledger.schema import (
    OPEN_STATES,
    TEXT,
    BillingState,
    EntryType,
    IntentState,
    budgets,
    clips,
    entries,
    intents,
)
from asset_pipeline.money import MicroUsd, format_usd

_NEVER_CHARGED = (
    IntentState.RESERVED,
    IntentState.SUBMITTING,
    IntentState.UNKNOWN,
    IntentState.SUBMITTED,
    IntentState.QUESTION,
    IntentState.REFUSED,
)
_ACCEPTED = (IntentState.SUBMITTED, IntentState.COMPLETED, IntentState.DELIVERED)


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One thing that does not agree: what, and the two values."""

    subject: str
    rule: str
    expected: str
    found: str


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What was compared, and the mismatches."""

    budgets: int
    intents: int
    entries: int
    clips: int
    mismatches: tuple[Mismatch, ...]


def audit(connection: Connection) -> AuditReport:
    """Derive all balances and states again.

    Args:
        connection: In a transaction that has asked nothing yet.
    """
    if connection.dialect.name == "postgresql":
        # Otherwise each query sees another moment.
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
    found = [
        *_budget_mismatches(connection),
        *_scope_mismatches(connection),
        *_intent_mismatches(connection),
        *_state_mismatches(connection),
        *_paid_twice(connection),
    ]
    return AuditReport(
        budgets=_count(connection, budgets),
        intents=_count(connection, intents),
        entries=_count(connection, entries),
        clips=_count(connection, clips),
        mismatches=tuple(found),
    )


def _sum_of(*types: EntryType, minus: EntryType | None = None) -> ColumnElement[int]:
    terms: list[tuple[ColumnElement[bool], ColumnElement[int]]] = [
        (entries.c.type.in_([entry.value for entry in types]), entries.c.amount_microusd)
    ]
    if minus is not None:
        terms.append((entries.c.type == minus.value, -entries.c.amount_microusd))
    return func.coalesce(func.sum(case(*terms, else_=0)), 0)


def _budget_mismatches(connection: Connection) -> Iterator[Mismatch]:
    derived = (
        select(
            entries.c.budget,
            _sum_of(EntryType.ADJUST).label("cap"),
            _sum_of(EntryType.CHARGE).label("charged"),
            _sum_of(EntryType.RESERVE, minus=EntryType.RELEASE).label("reserved"),
        )
        .group_by(entries.c.budget)
        .subquery()
    )
    rows = connection.execute(
        select(
            budgets,
            func.coalesce(derived.c.cap, 0).label("cap"),
            func.coalesce(derived.c.charged, 0).label("charged"),
            func.coalesce(derived.c.reserved, 0).label("reserved"),
        ).outerjoin(derived, derived.c.budget == budgets.c.budget)
    ).mappings()
    for row in rows:
        subject = f"budget {row['budget']}"
        for name in ("cap", "charged", "reserved"):
            found = row[f"{name}_microusd"]
            yield from _unequal(subject, f"its entries sum to {name}", row[name], found)
        excess = row["charged_microusd"] + row["reserved_microusd"] - row["cap_microusd"]
        overdrawn = row["overdrawn_microusd"]
        yield from _unequal(subject, "overdrawn is what passes the cap", max(0, excess), overdrawn)


def _scope_mismatches(connection: Connection) -> Iterator[Mismatch]:
    """Compare each budget with the intents in its scope, whatever its entries say.

    A budget that missed a payment agrees with its own entries all the same.
    """
    charged: Counter[str] = Counter()
    reserved: Counter[str] = Counter()
    rows = connection.execute(
        select(
            intents.c.collection,
            func.coalesce(intents.c.run_budget, intents.c.run_id),
            intents.c.created_at,
            intents.c.key_id,
            intents.c.kind,
            intents.c.charged_microusd,
            intents.c.reserved_microusd,
        )
    )
    for collection, run_id, begun_at, key_id, kind, owed, held in rows:
        for budget in Scope(collection, run_id, begun_at, key_id, kind).budgets:
            charged[budget] += owed
            reserved[budget] += held
    for row in connection.execute(select(budgets)).mappings():
        subject = f"budget {row['budget']}"
        for name, sums in (("charged", charged), ("reserved", reserved)):
            rule = f"the intents in its scope sum to {name}"
            yield from _unequal(subject, rule, sums[row["budget"]], row[f"{name}_microusd"])


def _intent_mismatches(connection: Connection) -> Iterator[Mismatch]:
    """Compare each intent with its entries in every budget that it falls under.

    The total is among them for every payment, so that an intent without entries shows too.
    """
    derived = (
        select(
            entries.c.intent_id,
            entries.c.budget,
            _sum_of(EntryType.CHARGE).label("charged"),
            _sum_of(EntryType.RESERVE, minus=EntryType.RELEASE).label("reserved"),
        )
        .where(entries.c.intent_id.is_not(None))
        .group_by(entries.c.intent_id, entries.c.budget)
        .subquery()
    )
    charged = func.coalesce(derived.c.charged, 0)
    reserved = func.coalesce(derived.c.reserved, 0)
    rows = connection.execute(
        select(
            intents.c.intent_id,
            func.coalesce(derived.c.budget, TOTAL).label("budget"),
            intents.c.charged_microusd,
            intents.c.reserved_microusd,
            charged.label("charged"),
            reserved.label("reserved"),
        )
        .outerjoin(derived, derived.c.intent_id == intents.c.intent_id)
        .where((intents.c.charged_microusd != charged) | (intents.c.reserved_microusd != reserved))
    ).mappings()
    for row in rows:
        subject = f"intent {row['intent_id']}"
        for name in ("charged", "reserved"):
            rule = f"its entries under {row['budget']} sum to {name}"
            yield from _unequal(subject, rule, row[name], row[f"{name}_microusd"])


def _state_mismatches(connection: Connection) -> Iterator[Mismatch]:
    has_clip = select(clips.c.clip_id).where(clips.c.intent_id == intents.c.intent_id).exists()
    rules: list[tuple[str, ColumnElement[bool]]] = [
        (
            "an intent that ended holds no reservation",
            intents.c.state.not_in(_values(OPEN_STATES)) & (intents.c.reserved_microusd != 0),
        ),
        (
            "an intent that was never accepted is not charged",
            intents.c.state.in_(_values(_NEVER_CHARGED)) & (intents.c.charged_microusd != 0),
        ),
        (
            "what was free is not charged",
            (intents.c.billed == BillingState.FREE.value) & (intents.c.charged_microusd != 0),
        ),
        (
            "an accepted intent has its prediction id",
            intents.c.state.in_(_values(_ACCEPTED)) & intents.c.prediction_id.is_(None),
        ),
        (
            "a delivered intent has its clip",
            (intents.c.state == IntentState.DELIVERED.value) & (intents.c.kind != TEXT) & ~has_clip,
        ),
        (
            "only a delivered intent has a clip",
            (intents.c.state != IntentState.DELIVERED.value) & has_clip,
        ),
    ]
    for rule, broken in rules:
        query = select(intents.c.intent_id, intents.c.state).where(broken)
        for row in connection.execute(query).mappings():
            state = f"broken in state {row['state']}"
            yield Mismatch(f"intent {row['intent_id']}", rule, "holds", state)


def _paid_twice(connection: Connection) -> Iterator[Mismatch]:
    for double in double_payments(connection):
        subject = f"{double.kind}/{double.prompt_id} variant {double.variant}"
        rule = "it is paid for again only for a reason"
        found = f"intent {double.later} as well"
        yield Mismatch(subject, rule, f"intent {double.earlier}", found)


def _unequal(subject: str, rule: str, expected: int, found: int) -> Iterator[Mismatch]:
    if expected != found:
        yield Mismatch(subject, rule, _usd(expected), _usd(found))


def _values(states: Iterable[IntentState]) -> list[str]:
    return [state.value for state in states]


def _usd(amount: int) -> str:
    # Postgres sums integers to decimals, which an integer's format does not take.
    return format_usd(MicroUsd(int(amount)))


def _count(connection: Connection, table: Table) -> int:
    return connection.execute(select(func.count()).select_from(table)).scalars().one()
