"""Budget scopes: which intents a budget counts, whatever caps were set at the time.

A cap that is set late, or lifted for a while and set again, has counted everything all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import ColumnElement, Connection, bindparam, func, select, true

from asset_pipeline.ledger.schema import TEXT, intents

TOTAL = "total"
"""The budget that every payment falls under, and under it once."""

LLM = "llm"
"""The budget of all calls to language models."""


def daily(day: date) -> str:
    """Return the name of the budget of one UTC day."""
    return f"daily:{day}"


def monthly(day: date) -> str:
    """Return the name of the budget of the UTC month that a day is in."""
    return f"monthly:{day:%Y-%m}"


def of_run(run_id: str) -> str:
    """Return the name of the budget of one run."""
    return f"run:{run_id}"


def is_of_run(budget: str) -> bool:
    """Tell whether a budget is that of one run, or of one command's runs."""
    return budget.startswith("run:")


def of_collection(collection: str) -> str:
    """Return the name of the budget of one collection."""
    return f"collection:{collection}"


def of_key(key_id: str) -> str:
    """Return the name of the budget of one API key."""
    return f"key:{key_id}"


@dataclass(frozen=True, slots=True)
class Scope:
    """What decides which budgets a payment falls under.

    Attributes:
        run_id: The run whose cap it falls under.
        begun_at: When its money was set aside.
        key_id: The API key on whose behalf it is paid; None without one.
        kind: What it makes: a clip of a kind, or a language model's text.
    """

    collection: str
    run_id: str
    begun_at: datetime
    key_id: str | None = None
    kind: str = ""

    @property
    def budgets(self) -> tuple[str, ...]:
        """The names of all budgets that may count it, capped or not, in the order of locking.

        The total comes first: whoever changes balances holds it, and so sees every budget that
        others have opened. The others come in the order of their names.
        """
        day = self.begun_at.astimezone(UTC).date()
        texts = (LLM,) if self.kind == TEXT else ()
        return (
            TOTAL,
            of_collection(self.collection),
            daily(day),
            # Nobody's budget is called so: the statement that asks for them has one shape.
            of_key(self.key_id or ""),
            *texts,
            monthly(day),
            of_run(self.run_id),
        )


def scope_of(connection: Connection, intent_id: str) -> Scope:
    """Return an intent's scope."""
    return Scope(*connection.execute(_SCOPE, {"intent": intent_id}).one())


def within(budget: str, period: str, period_start: date | None) -> ColumnElement[bool]:
    """Return the condition that an intent falls under a budget."""
    name = budget.partition(":")[2]
    match period:
        case "day" | "month" if period_start is not None:
            first = datetime.combine(period_start, time(), UTC)
            a_day_on, a_month_on = first + timedelta(days=1), first + timedelta(days=32)
            end = a_day_on if period == "day" else a_month_on.replace(day=1)
            return (intents.c.created_at >= first) & (intents.c.created_at < end)
        case "run":
            return (intents.c.run_id == name) & intents.c.run_budget.is_(None) | (
                intents.c.run_budget == name
            )
        case _ if budget == LLM:
            return intents.c.kind == TEXT
        case "key":
            return intents.c.key_id == name
        case _:
            return true() if budget == TOTAL else intents.c.collection == name


# Built once: building a statement costs as much as SQLite needs to run it.
_SCOPE = select(
    intents.c.collection,
    func.coalesce(intents.c.run_budget, intents.c.run_id),
    intents.c.created_at,
    intents.c.key_id,
    intents.c.kind,
).where(intents.c.intent_id == bindparam("intent"))
