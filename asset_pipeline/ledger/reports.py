"""Read-only bulk queries of the ledger, for commands."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import ColumnElement, Connection, Engine, case, func, select

from asset_pipeline.chunks import chunks
from asset_pipeline.ledger import budget_tickets, postings, substitutes
from asset_pipeline.ledger.budgets import BudgetLine
from asset_pipeline.ledger.change_mark import mark_of
from asset_pipeline.ledger.engine import LedgerError
from asset_pipeline.ledger.manual_resolution import BY_HAND
from asset_pipeline.ledger.provider_binding import accounts_of_clips
from asset_pipeline.ledger.records import BudgetBalance, Intent, intent_from
from asset_pipeline.ledger.schema import (
    OPEN_STATES,
    TEXT,
    BillingState,
    EntryType,
    IntentState,
    clips,
    entries,
    intents,
    workers,
)
from asset_pipeline.ledger.workers import dead_runs, is_alive
from asset_pipeline.money import MicroUsd

# SQLite takes 32,766 parameters a statement, Postgres 65,535.
_VALUES_A_QUERY = 5000

_NAMED = 5


@dataclass(frozen=True, slots=True)
class OpenIntents:
    """The open intents in one state: how many, and what they hold."""

    state: IntentState
    count: int
    reserved: MicroUsd


@dataclass(frozen=True, slots=True)
class StandIns:
    """The wanted generations that another one stands in for, each with the collection it is in."""

    stored: set[tuple[str, str]]
    open: set[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class BudgetUse:
    """What has become of a budget, in micro-dollars.

    Attributes:
        coming_back: The part of what is reserved that somebody alive is at.
    """

    charged: int
    reserved: int
    coming_back: int


class LedgerReader:
    """Reads the ledger in bulk; every method is one transaction of its own.

    Args:
        engine: From :func:`asset_pipeline.ledger.engine.open_engine`.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def stored_generations(self, hashes: Iterable[str]) -> set[str]:
        """Return those of ``hashes`` whose clip is stored."""
        with self._reading() as connection:
            is_stored = clips.c.removed_at.is_(None)
            return set(_matching(connection, clips.c.generation_hash, hashes, is_stored))

    def open_generations(self, hashes: Iterable[str]) -> set[str]:
        """Return those of ``hashes`` that have an open intent."""
        is_open = intents.c.state.in_(OPEN_STATES)
        with self._reading() as connection:
            return set(_matching(connection, intents.c.generation_hash, hashes, is_open))

    def stand_ins(self, hashes: Collection[str]) -> StandIns:
        """Return which of ``hashes`` another generation stands in for, stored or open."""
        with self._reading() as connection:
            return StandIns(
                stored=substitutes.stored_for(connection, hashes),
                open=substitutes.open_for(connection, hashes),
            )

    def open_intents(self) -> list[OpenIntents]:
        """Return the open intents by state, in the order of the paid call."""
        with self._reading() as connection:
            rows = connection.execute(
                select(intents.c.state, func.count(), func.sum(intents.c.reserved_microusd))
                .where(intents.c.state.in_(OPEN_STATES))
                .group_by(intents.c.state)
            ).all()
        found = [
            OpenIntents(IntentState(state), count, MicroUsd(int(reserved)))
            for state, count, reserved in rows
        ]
        order = list(IntentState)
        return sorted(found, key=lambda group: order.index(group.state))

    def charged_by(self, run_ids: Iterable[str], since: datetime) -> MicroUsd:
        """Return what runs were charged: for their own intents and for those they took over.

        Args:
            run_ids: The runs, by the ids that their workers entered.
            since: What an intent was charged before this time is not theirs.
        """
        query = (
            select(func.coalesce(func.sum(entries.c.amount_microusd), 0))
            .join(intents, intents.c.intent_id == entries.c.intent_id)
            .join(workers, workers.c.worker_id == intents.c.worker_id)
            .where(
                # Every payment falls under the total, and under it once.
                entries.c.budget == "total",
                entries.c.type == EntryType.CHARGE.value,
                entries.c.created_at >= since,
            )
        )
        with self._reading() as connection:
            amounts = [
                connection.execute(query.where(workers.c.run_id.in_(chunk))).scalar_one()
                for chunk in chunks(run_ids, _VALUES_A_QUERY)
            ]
        return MicroUsd(sum(int(amount) for amount in amounts))

    def noted_charges(self, since: datetime | None = None) -> list[Intent]:
        """Return the intents whose charge needs a look, the newest last; see ``charge_note``.

        Args:
            since: Leave out what has not changed since this time.
        """
        query = select(intents).where(intents.c.charge_note.is_not(None), intents.c.kind != TEXT)
        if since is not None:
            query = query.where(intents.c.updated_at >= since)
        with self._reading() as connection:
            rows = connection.execute(query.order_by(intents.c.updated_at)).mappings()
            return [intent_from(row) for row in rows]

    def find(self, prefix: str) -> Intent:
        """Return the intent whose id begins so.

        Raises:
            LedgerError: None does, or several do.
        """
        query = select(intents).where(
            intents.c.intent_id.startswith(prefix, autoescape=True), intents.c.kind != TEXT
        )
        with self._reading() as connection:
            rows = connection.execute(query.limit(_NAMED)).mappings().all()
        if len(rows) == 1 and prefix:
            return intent_from(rows[0])
        if not rows:
            raise LedgerError(
                f"The ledger has no intent {prefix!r}.",
                hint="`asset-pipeline reconcile` lists the open ones.",
            )
        named = ", ".join(row["intent_id"] for row in rows)
        raise LedgerError(f"Several intents begin with {prefix!r}: {named}.", hint="Give more.")

    def stale(self, before: datetime, now: datetime) -> list[Intent]:
        """Return the open intents that nobody drives and that have not moved since ``before``.

        Questions are among them; the oldest comes first.
        """
        query = (
            select(intents)
            .where(
                intents.c.state.in_(OPEN_STATES),
                intents.c.updated_at < before,
                intents.c.kind != TEXT,
            )
            .order_by(intents.c.created_at)
        )
        with self._reading() as connection:
            found = [intent_from(row) for row in connection.execute(query).mappings()]
            alive = {
                worker_id: is_alive(connection, worker_id, now)
                for worker_id in {intent.worker_id for intent in found}
            }
        return [intent for intent in found if not alive[intent.worker_id]]

    def dead_runs(self, run_ids: Iterable[str], now: datetime) -> set[str]:
        """Return those runs that paid in a process which is gone, and never ended."""
        dead: set[str] = set()
        with self._reading() as connection:
            for chunk in chunks(run_ids, _VALUES_A_QUERY):
                dead |= dead_runs(connection, chunk, now)
        return dead

    def without_prediction(self) -> tuple[list[Intent], list[Intent]]:
        """Return intents that may own an unknown prediction, oldest first.

        Returns:
            The intents whose reply is awaited or was lost; and those that a person charged.
        """
        undecided = intents.c.state.in_(
            [IntentState.SUBMITTING, IntentState.UNKNOWN, IntentState.QUESTION]
        )
        by_hand = (
            (intents.c.error_class == BY_HAND)
            & (intents.c.charged_microusd > 0)
            & intents.c.prediction_id.is_(None)
        )
        query = (
            select(intents)
            .where(undecided | by_hand, intents.c.kind != TEXT)
            .order_by(intents.c.created_at)
        )
        with self._reading() as connection:
            found = [intent_from(row) for row in connection.execute(query).mappings()]
        return (
            [intent for intent in found if intent.is_open],
            [intent for intent in found if not intent.is_open],
        )

    def orphans_among(self, prediction_ids: Iterable[str]) -> set[str]:
        """Return which of these predictions an audit recorded as orphans."""
        found: set[str] = set()
        with self._reading() as connection:
            for chunk in chunks(prediction_ids, _VALUES_A_QUERY):
                query = select(intents.c.prediction_id).where(
                    intents.c.prediction_id.in_(chunk),
                    intents.c.billed == BillingState.ORPHAN.value,
                )
                found.update(filter(None, connection.execute(query).scalars()))
        return found

    def sent_like(self, seeds: Iterable[int], texts: Iterable[str]) -> list[Intent]:
        """Return what was sent with one of these seeds, or without any and with one of the texts.

        What audits recorded is left out: it was never sent from here.
        """
        was_sent = (
            intents.c.submitted_at.is_not(None)
            & (intents.c.billed.is_(None) | (intents.c.billed != BillingState.ORPHAN.value))
            & (intents.c.kind != TEXT)
        )
        wanted = [
            *(intents.c.seed.in_(chunk) for chunk in chunks(seeds, _VALUES_A_QUERY)),
            *(
                intents.c.prompt_text.in_(chunk) & intents.c.seed.is_(None)
                for chunk in chunks(texts, _VALUES_A_QUERY)
            ),
        ]
        with self._reading() as connection:
            return [
                intent_from(row)
                for like in wanted
                for row in connection.execute(select(intents).where(was_sent, like)).mappings()
            ]

    def mark(self) -> str:
        """Return the mark of all that the ledger holds now."""
        with self._reading() as connection:
            return mark_of(connection)

    def accounts(self) -> dict[str, int]:
        """Return how many current clips each account paid for; '' stands for earlier releases."""
        with self._reading() as connection:
            return accounts_of_clips(connection)

    def balances(self) -> list[BudgetBalance]:
        """Return all budgets as they stand, by name."""
        with self._reading() as connection:
            return postings.balances(connection)

    def uses_of(self, lines: Iterable[BudgetLine], now: datetime) -> dict[str, BudgetUse]:
        """Return what has become of each budget, also of one that no payment has opened yet.

        Args:
            lines: The budgets.
            now: Decides which processes live.
        """
        found: dict[str, BudgetUse] = {}
        with self._reading() as connection:
            known = {one.budget: one for one in postings.balances(connection)}
            for line in lines:
                one = known.get(line.budget)
                if one is None:
                    charged, reserved = postings.sums_in(connection, line)
                else:
                    charged, reserved = one.charged, one.reserved
                coming = 0
                if reserved:
                    coming = budget_tickets.coming_back(connection, line, "", now).elsewhere
                found[line.budget] = BudgetUse(charged, reserved, coming)
        return found

    def usual_charges(self) -> dict[str, MicroUsd]:
        """Return what a delivered clip has cost by model, rounded up; none of a new model."""
        query = (
            select(intents.c.model, func.sum(intents.c.charged_microusd), func.count())
            .where(intents.c.state == IntentState.DELIVERED.value)
            .group_by(intents.c.model)
        )
        with self._reading() as connection:
            rows = connection.execute(query).all()
        return {model: MicroUsd(-(-int(charged) // count)) for model, charged, count in rows}

    def _reading(self) -> Connection:
        return self.engine.connect().execution_options(reading=True)


def _matching(
    connection: Connection,
    column: ColumnElement[str],
    values: Iterable[str],
    *conditions: ColumnElement[bool],
) -> Iterator[str]:
    for chunk in chunks(values, _VALUES_A_QUERY):
        rows = connection.execute(select(column).where(column.in_(chunk), *conditions))
        yield from rows.scalars()


@dataclass(frozen=True, slots=True)
class Spent:
    """What one model charged for one collection on one day.

    Attributes:
        predictions: Attempts that were charged.
        delivered: Those that brought a clip.
        charged: For all of them.
        wasted: For those that will never bring one.
    """

    kind: str
    collection: str
    model: str
    predictions: int
    delivered: int
    charged: MicroUsd
    wasted: MicroUsd


def spent_on(engine: Engine, day: date) -> list[Spent]:
    """Return what was charged on a UTC day, the dearest first.

    An attempt belongs to the day it completed on; one that never said so, to that of its
    submission: the same rule as the warehouse's ``spend_by_day``.
    """
    start = datetime.combine(day, time(), UTC)
    at = func.coalesce(
        intents.c.completed_at,
        intents.c.submitted_at,
        intents.c.created_at,
        type_=intents.c.created_at.type,
    )
    charged = func.sum(intents.c.charged_microusd)
    lost = intents.c.state.not_in([IntentState.COMPLETED, IntentState.DELIVERED])
    query = (
        select(
            intents.c.kind,
            intents.c.collection,
            intents.c.model,
            func.count(),
            func.sum(case((intents.c.state == IntentState.DELIVERED, 1), else_=0)),
            charged,
            func.sum(case((lost, intents.c.charged_microusd), else_=0)),
        )
        .where(intents.c.charged_microusd > 0, at >= start, at < start + timedelta(days=1))
        .group_by(intents.c.kind, intents.c.collection, intents.c.model)
        .order_by(charged.desc(), intents.c.collection, intents.c.model)
    )
    with engine.connect().execution_options(reading=True) as connection:
        rows = connection.execute(query).all()
    return [
        Spent(
            kind,
            collection,
            model,
            int(predictions),
            int(delivered),
            MicroUsd(int(total)),
            MicroUsd(int(wasted)),
        )
        for kind, collection, model, predictions, delivered, total, wasted in rows
    ]
