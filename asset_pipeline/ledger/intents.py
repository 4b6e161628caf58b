"""The states of an intent and the only ways between them.

Every function runs in the caller's transaction and moves an intent with a compare-and-set on its
state: of two processes that try the same step, one succeeds and the other gets
:class:`IntentMovedError` and looks again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Update, bindparam, insert, select, update

from asset_pipeline.ledger import movements
from asset_pipeline.ledger.records import Intent, NewIntent, as_columns, intent_from, row_of
from asset_pipeline.ledger.schema import OPEN_STATES, BillingState, IntentState, intents
from asset_pipeline.money import MicroUsd

MAX_ERROR_LENGTH = 500

_ALWAYS = datetime.fromtimestamp(0, UTC)

# SQLite takes 32,766 parameters a statement, Postgres 65,535.
_IDS_A_QUERY = 1000


class IntentMovedError(Exception):
    """The intent is not in the expected state (any more): somebody else moved it. Look again."""


def find_last(connection: Connection, generation_hash: str) -> Intent | None:
    """Return the newest attempt at a generation, the only one that may be open."""
    rows = connection.execute(_FIND_LAST, {"generation": generation_hash})
    row = rows.mappings().one_or_none()
    return None if row is None else intent_from(row)


def find_open(connection: Connection, generation_hash: str) -> Intent | None:
    """Return the one open intent of a generation, if there is one."""
    last = find_last(connection, generation_hash)
    return last if last is not None and last.is_open else None


def get(connection: Connection, intent_id: str) -> Intent:
    """Return an intent by id."""
    rows = connection.execute(_GET, {"intent": intent_id})
    return intent_from(rows.mappings().one())


def in_states(connection: Connection, states: Sequence[IntentState]) -> list[Intent]:
    """Return all intents in any of ``states``, oldest first."""
    rows = connection.execute(
        select(intents).where(intents.c.state.in_(states)).order_by(intents.c.created_at)
    )
    return [intent_from(row) for row in rows.mappings()]


def owned(connection: Connection, prediction_ids: Iterable[str]) -> frozenset[str]:
    """Return those of ``prediction_ids`` that belong to an intent."""
    found: set[str] = set()
    for ids in _chunks(sorted(set(prediction_ids))):
        query = select(intents.c.prediction_id).where(intents.c.prediction_id.in_(ids))
        found.update(filter(None, connection.execute(query).scalars()))
    return frozenset(found)


def create(
    connection: Connection,
    new: NewIntent,
    *,
    attempt: int,
    run_id: str,
    worker_id: str,
    now: datetime,
    counts_from: datetime | None = None,
) -> Intent:
    """Insert an intent whose money the caller reserves in the same transaction.

    Clips delivered before ``counts_from`` did not count; an audit takes that for the reason why
    they are paid for again.
    """
    intent = new.reserved(attempt, run_id=run_id, worker_id=worker_id, now=now)
    connection.execute(_INSERT, {**row_of(intent), "counts_from": counts_from or _ALWAYS})
    return intent


def adopt(connection: Connection, intent: Intent, *, worker_id: str, now: datetime) -> Intent:
    """Take over an open intent from the worker that left it.

    A POST that the dead worker may have had on the wire becomes unknown here.
    """
    values: dict[str, object] = {"worker_id": worker_id}
    if intent.state is IntentState.SUBMITTING:
        values |= {"state": IntentState.UNKNOWN, "lost_at": now, "absent_listings": 0}
    return _move(connection, intent, OPEN_STATES, now, **values)


def start_submitting(connection: Connection, intent: Intent, now: datetime) -> Intent:
    """Mark that the one POST goes on the wire next; from here on a silence means unknown."""
    return _move(
        connection,
        intent,
        (IntentState.RESERVED,),
        now,
        state=IntentState.SUBMITTING,
        submitted_at=now,
    )


def lose_reply(connection: Connection, intent: Intent, error: str, now: datetime) -> Intent:
    """Mark that the POST got no clear answer; its money stays reserved."""
    return _move(
        connection,
        intent,
        (IntentState.SUBMITTING,),
        now,
        state=IntentState.UNKNOWN,
        lost_at=now,
        absent_listings=0,
        error=error[:MAX_ERROR_LENGTH],
    )


def accept(connection: Connection, intent: Intent, prediction_id: str, now: datetime) -> Intent:
    """Store the prediction id: first thing after the reply, or when reconciliation found it."""
    return _move(
        connection,
        intent,
        (IntentState.SUBMITTING, IntentState.UNKNOWN, IntentState.QUESTION),
        now,
        state=IntentState.SUBMITTED,
        prediction_id=prediction_id,
        error=None,
    )


def note_absence(connection: Connection, intent: Intent, now: datetime) -> Intent:
    """Count one complete listing of the provider's that does not hold the prediction."""
    return _move(
        connection,
        intent,
        (IntentState.UNKNOWN,),
        now,
        absent_listings=intent.absent_listings + 1,
    )


def ask(connection: Connection, intent: Intent, question: str, now: datetime) -> Intent:
    """Leave it to a person: the money stays reserved until they decide."""
    return _move(
        connection,
        intent,
        (IntentState.UNKNOWN,),
        now,
        state=IntentState.QUESTION,
        error=question[:MAX_ERROR_LENGTH],
    )


def refuse(
    connection: Connection, intent: Intent, error_class: str, error: str, now: datetime
) -> None:
    """End an intent that the provider certainly did not accept, and give all its money back."""
    _move(
        connection,
        intent,
        (
            IntentState.RESERVED,
            IntentState.SUBMITTING,
            IntentState.UNKNOWN,
            IntentState.QUESTION,
        ),
        now,
        state=IntentState.REFUSED,
        reserved_microusd=0,
        completed_at=now,
        billed=BillingState.FREE,
        error_class=error_class,
        error=error[:MAX_ERROR_LENGTH],
    )
    movements.release(connection, intent.intent_id, intent.reserved_microusd, now)


def charge(
    connection: Connection,
    intent: Intent,
    *,
    amount: MicroUsd,
    billed: BillingState,
    predict_seconds: float | None,
    now: datetime,
) -> Intent:
    """Write what a terminal prediction cost; what stays reserved is returned."""
    # The intent before its budgets, as everywhere: Postgres locks rows in the order of the writes.
    held = MicroUsd(max(0, intent.reserved_microusd - amount))
    charged = _move(
        connection,
        intent,
        (IntentState.SUBMITTED,),
        now,
        state=IntentState.COMPLETED,
        charged_microusd=amount,
        reserved_microusd=held,
        billed=billed,
        predict_seconds=predict_seconds,
        completed_at=now,
    )
    covered = MicroUsd(intent.reserved_microusd - held)
    movements.charge(connection, intent.intent_id, amount, covered, now)
    return charged


def fail(
    connection: Connection, intent: Intent, error_class: str, error: str, now: datetime
) -> None:
    """End a charged intent without a clip and release what is left of its reservation."""
    _move(
        connection,
        intent,
        (IntentState.COMPLETED,),
        now,
        state=IntentState.FAILED,
        reserved_microusd=0,
        error_class=error_class,
        error=error[:MAX_ERROR_LENGTH],
    )
    movements.release(connection, intent.intent_id, intent.reserved_microusd, now)


def deliver(connection: Connection, intent: Intent, now: datetime) -> None:
    """End an intent whose clip is recorded in the same transaction; release what is left."""
    _move(
        connection,
        intent,
        (IntentState.COMPLETED,),
        now,
        state=IntentState.DELIVERED,
        reserved_microusd=0,
        delivered_at=now,
        error_class=None,
        error=None,
    )
    movements.release(connection, intent.intent_id, intent.reserved_microusd, now)


def _chunks(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), _IDS_A_QUERY):
        yield ids[start : start + _IDS_A_QUERY]


def _move(
    connection: Connection,
    intent: Intent,
    expected: tuple[IntentState, ...],
    now: datetime,
    **changes: Any,  # noqa: ANN401 -- fields of Intent, each of its own type
) -> Intent:
    """Write what changes and return the intent as it stands then."""
    values = as_columns({"updated_at": now, **changes})
    known = {
        "known_id": intent.intent_id,
        "known_worker": intent.worker_id,
        "known_state": intent.state.value,
    }
    moved = connection.execute(_update_of(tuple(values)), known | values).rowcount
    if intent.state not in expected or not moved:
        raise IntentMovedError(
            f"intent {intent.intent_id} was {intent.state.value}; expected {', '.join(expected)}"
        )
    return replace(intent, updated_at=now, **changes)


# Statements are built once: building one costs as much as SQLite needs to run it.
_INSERT = insert(intents)
_GET = select(intents).where(intents.c.intent_id == bindparam("intent"))
_FIND_LAST = (
    select(intents)
    .where(intents.c.generation_hash == bindparam("generation"))
    .order_by(intents.c.attempt.desc())
    .limit(1)
)


@cache
def _update_of(columns: tuple[str, ...]) -> Update:
    """Build the compare-and-set that writes these columns."""
    return (
        update(intents)
        .where(
            intents.c.intent_id == bindparam("known_id"),
            intents.c.worker_id == bindparam("known_worker"),
            intents.c.state == bindparam("known_state"),
        )
        .values({name: bindparam(name) for name in columns})
    )
