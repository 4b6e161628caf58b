"""The states of an intent and the allowed transitions.

Every function runs in the caller's transaction and moves an intent with a compare-and-set on its
state: of two processes that try the same step, one succeeds and the other gets
:class:`IntentMovedError` and looks again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Update, bindparam, insert, select, update

from asset_pipeline.chunks import chunks
from asset_pipeline.ledger import postings
from asset_pipeline.ledger.records import (
    Intent,
    NewIntent,
    NotedFile,
    as_columns,
    intent_from,
    row_of,
)
from asset_pipeline.ledger.schema import OPEN_STATES, TEXT, BillingState, IntentState, intents
from asset_pipeline.money import MicroUsd, format_usd

MAX_ERROR_LENGTH = 500

_ALWAYS = datetime.fromtimestamp(0, UTC)

# One that is completed is charged, by the worker that saw its end.
_HOLDING = (
    IntentState.RESERVED,
    IntentState.SUBMITTING,
    IntentState.UNKNOWN,
    IntentState.SUBMITTED,
)

# SQLite takes 32,766 parameters a statement, Postgres 65,535.
_IDS_A_QUERY = 1000


class IntentMovedError(Exception):
    """The intent is not in the expected state (any more): somebody else moved it. Look again."""


def attempts_at(connection: Connection, generation_hash: str) -> list[Intent]:
    """Return the attempts at a generation, the newest first."""
    rows = connection.execute(_ATTEMPTS, {"generation": generation_hash})
    return [intent_from(row) for row in rows.mappings()]


def first_open(attempts: Iterable[Intent]) -> Intent | None:
    """Return the open one of a generation's attempts, the newest first, if there is one.

    There is a second one only where an attempt turned up late that had been given up.
    """
    return next((intent for intent in attempts if intent.is_open), None)


def find_open(connection: Connection, generation_hash: str) -> Intent | None:
    """Return the open intent of a generation, if there is one."""
    return first_open(attempts_at(connection, generation_hash))


def get(connection: Connection, intent_id: str) -> Intent:
    """Return an intent by id."""
    rows = connection.execute(_GET, {"intent": intent_id})
    return intent_from(rows.mappings().one())


def in_states(connection: Connection, states: Sequence[IntentState]) -> list[Intent]:
    """Return all intents for clips in any of ``states``, oldest first."""
    rows = connection.execute(
        select(intents)
        .where(intents.c.state.in_(states), intents.c.kind != TEXT)
        .order_by(intents.c.created_at)
    )
    return [intent_from(row) for row in rows.mappings()]


def owned(connection: Connection, prediction_ids: Iterable[str]) -> frozenset[str]:
    """Return those of ``prediction_ids`` that belong to an intent."""
    found: set[str] = set()
    for ids in chunks(sorted(set(prediction_ids)), _IDS_A_QUERY):
        query = select(intents.c.prediction_id).where(intents.c.prediction_id.in_(ids))
        found.update(filter(None, connection.execute(query).scalars()))
    return frozenset(found)


def owner_of(connection: Connection, prediction_id: str) -> Intent | None:
    """Return the intent that a prediction belongs to."""
    query = select(intents).where(intents.c.prediction_id == prediction_id)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else intent_from(row)


def models(connection: Connection) -> frozenset[str]:
    """Return all models that were ever asked."""
    return frozenset(connection.execute(select(intents.c.model).distinct()).scalars())


def newest_unrecorded(connection: Connection) -> str | None:
    """Return the newest prediction that a release which recorded no accounts was given."""
    query = (
        select(intents.c.prediction_id)
        .where(intents.c.provider == "", intents.c.prediction_id.is_not(None))
        .where(intents.c.billed.is_distinct_from(BillingState.ORPHAN.value))
        .order_by(intents.c.created_at.desc())
        .limit(1)
    )
    return connection.execute(query).scalar()


def create(
    connection: Connection,
    new: NewIntent,
    *,
    attempt: int,
    run_id: str,
    worker_id: str,
    now: datetime,
    run_budget: str | None = None,
    counts_from: datetime | None = None,
) -> Intent:
    """Insert an intent whose money the caller reserves in the same transaction.

    Clips delivered before ``counts_from`` did not count; an audit takes that for the reason why
    they are paid for again.
    """
    intent = new.reserved(
        attempt, run_id=run_id, worker_id=worker_id, now=now, run_budget=run_budget
    )
    connection.execute(_INSERT, {**row_of(intent), "counts_from": counts_from or _ALWAYS})
    return intent


def adopt(connection: Connection, intent: Intent, *, worker_id: str, now: datetime) -> Intent:
    """Take over an open intent from the worker that left it.

    A POST that the dead worker may have had on the wire becomes unknown here.
    """
    return _hand_over(connection, intent, OPEN_STATES, worker_id, now)


def let_go(connection: Connection, intent: Intent, now: datetime) -> Intent:
    """Give up the ownership of an open intent, so that any process can adopt it.

    A POST that it may have on the wire becomes unknown: nobody waits for the answer.
    """
    return _hand_over(connection, intent, _HOLDING, "", now)


def start_submitting(connection: Connection, intent: Intent, now: datetime) -> Intent:
    """Mark that the one POST goes on the wire next; from here on, no answer means unknown."""
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
    """Ask a person to decide; the money stays reserved until then."""
    return _move(
        connection,
        intent,
        (IntentState.SUBMITTING, IntentState.UNKNOWN, IntentState.SUBMITTED),
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
    postings.release(connection, intent.intent_id, intent.reserved_microusd, now)


NEVER_ACCEPTED = "never accepted"
"""How the error of an intent begins that was released because nothing of it could be found."""


def released_as_absent(connection: Connection, since: datetime) -> list[Intent]:
    """Return intents sent after a time that were released as never accepted."""
    rows = connection.execute(_RELEASED_AS_ABSENT, {"since": since})
    return [intent_from(row) for row in rows.mappings()]


def revive(connection: Connection, intent: Intent, prediction_id: str, now: datetime) -> Intent:
    """Take a given up intent back: its prediction turned up, so it is owed and is to be delivered.

    Its worst case is set aside again, whether the budgets have room for it or not. A later attempt
    at the same clip that was not sent yet is stopped.
    """
    for other in attempts_at(connection, intent.generation_hash):
        if other.state is IntentState.RESERVED:
            refuse(connection, other, "cancelled", "an earlier attempt turned up", now)
    worst_case = postings.reserved_at_first(connection, intent.intent_id)
    values: dict[str, Any] = {
        "state": IntentState.SUBMITTED,
        "worker_id": "",  # nobody drives it: whoever comes first takes it up
        "prediction_id": prediction_id,
        "reserved_microusd": worst_case,
        "found_late_at": now,
        "completed_at": None,
        "billed": None,
        "error_class": None,
        "error": None,
    }
    revived = _move(connection, intent, (IntentState.REFUSED,), now, **values)
    postings.reserve_owed(connection, intent.intent_id, worst_case, now)
    return revived


def charge(
    connection: Connection,
    intent: Intent,
    *,
    amount: MicroUsd,
    billed: BillingState,
    predict_seconds: float | None,
    now: datetime,
    note: str | None = None,
) -> Intent:
    """Write what a terminal prediction cost; what stays reserved is returned.

    A charge above its reservation is recorded in full, and noted, as ``note`` is: why it is not
    what the provider's own numbers say.
    """
    notes = [note] if note else []
    if amount > intent.reserved_microusd:
        notes.append(
            f"{format_usd(amount)} charged where {format_usd(intent.reserved_microusd)} was "
            "reserved: the model's price or inputs in the catalog are not the provider's"
        )
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
        charge_note="; ".join(notes) or None,
        completed_at=now,
    )
    covered = MicroUsd(intent.reserved_microusd - held)
    postings.charge(connection, intent.intent_id, amount, covered, now)
    return charged


def note_file(connection: Connection, intent: Intent, noted: NotedFile, now: datetime) -> Intent:
    """Note the verified file before it is put into the store: whoever goes on finds it again."""
    return _move(connection, intent, (IntentState.COMPLETED,), now, stored_json=noted.to_json())


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
        stored_json=None,
        error_class=error_class,
        error=error[:MAX_ERROR_LENGTH],
    )
    postings.release(connection, intent.intent_id, intent.reserved_microusd, now)


def deliver(connection: Connection, intent: Intent, now: datetime) -> None:
    """End an intent whose clip is recorded in the same transaction; release what is left."""
    _move(
        connection,
        intent,
        (IntentState.COMPLETED,),
        now,
        state=IntentState.DELIVERED,
        reserved_microusd=0,
        stored_json=None,
        delivered_at=now,
        error_class=None,
        error=None,
    )
    postings.release(connection, intent.intent_id, intent.reserved_microusd, now)


def _hand_over(
    connection: Connection,
    intent: Intent,
    expected: tuple[IntentState, ...],
    worker_id: str,
    now: datetime,
) -> Intent:
    values: dict[str, object] = {"worker_id": worker_id}
    if intent.state is IntentState.SUBMITTING:
        values |= {"state": IntentState.UNKNOWN, "lost_at": now, "absent_listings": 0}
    return _move(connection, intent, expected, now, **values)


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
_ATTEMPTS = (
    select(intents)
    .where(intents.c.generation_hash == bindparam("generation"))
    .order_by(intents.c.attempt.desc())
)

_RELEASED_AS_ABSENT = select(intents).where(
    intents.c.state == IntentState.REFUSED.value,
    intents.c.lost_at.is_not(None),
    intents.c.prediction_id.is_(None),
    intents.c.error.startswith(NEVER_ACCEPTED),
    intents.c.created_at >= bindparam("since"),
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
