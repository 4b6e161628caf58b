"""The states of an intent and the only ways between them.

Every function runs in the caller's transaction and moves an intent with a compare-and-set on its
state: of two processes that try the same step, one succeeds and the other gets
:class:`IntentMovedError` and looks again.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from sqlalchemy import Connection, func, insert, select, update

from asset_pipeline.ledger import movements
from asset_pipeline.ledger.records import Intent, NewIntent, intent_from
from asset_pipeline.ledger.schema import OPEN_STATES, BillingState, IntentState, intents
from asset_pipeline.money import MicroUsd

MAX_ERROR_LENGTH = 500

# SQLite takes 32,766 parameters a statement, Postgres 65,535.
_IDS_A_QUERY = 1000


class IntentMovedError(Exception):
    """The intent is not in the expected state (any more): somebody else moved it. Look again."""


def next_attempt(connection: Connection, generation_hash: str) -> int:
    """Return the number of the next attempt at a generation, from 1."""
    last = connection.execute(
        select(func.max(intents.c.attempt)).where(intents.c.generation_hash == generation_hash)
    ).scalar()
    return (last or 0) + 1


def find_open(connection: Connection, generation_hash: str) -> Intent | None:
    """Return the one open intent of a generation, if there is one."""
    row = (
        connection.execute(
            select(intents).where(
                intents.c.generation_hash == generation_hash, intents.c.state.in_(OPEN_STATES)
            )
        )
        .mappings()
        .one_or_none()
    )
    return None if row is None else intent_from(row)


def get(connection: Connection, intent_id: str) -> Intent:
    """Return an intent by id."""
    rows = connection.execute(select(intents).where(intents.c.intent_id == intent_id))
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
) -> str:
    """Insert an intent whose money the caller reserves in the same transaction."""
    intent_id = uuid.uuid4().hex
    sent = new.inputs_for_attempt(attempt)
    connection.execute(
        insert(intents).values(
            intent_id=intent_id,
            generation_hash=new.generation_hash,
            attempt=attempt,
            kind=new.kind.value,
            prompt_id=new.prompt_id,
            collection=new.collection,
            variant=new.variant,
            model=new.model,
            version=new.version,
            prompt_text=new.prompt_text,
            seed=sent.seed,
            inputs_json=json.dumps(sent.inputs, ensure_ascii=False, sort_keys=True),
            run_id=run_id,
            worker_id=worker_id,
            state=IntentState.RESERVED.value,
            reserved_microusd=new.worst_case,
            price_source=new.price_source,
            created_at=now,
            updated_at=now,
        )
    )
    return intent_id


def adopt(connection: Connection, intent: Intent, *, worker_id: str, now: datetime) -> None:
    """Take over an open intent from the worker that left it.

    A POST that the dead worker may have had on the wire becomes unknown here.
    """
    values: dict[str, object] = {"worker_id": worker_id}
    if intent.state is IntentState.SUBMITTING:
        values |= {"state": IntentState.UNKNOWN.value, "lost_at": now, "absent_listings": 0}
    _move(connection, intent, OPEN_STATES, now, **values)


def start_submitting(connection: Connection, intent: Intent, now: datetime) -> None:
    """Mark that the one POST goes on the wire next; from here on a silence means unknown."""
    _move(
        connection,
        intent,
        (IntentState.RESERVED,),
        now,
        state=IntentState.SUBMITTING.value,
        submitted_at=now,
    )


def lose_reply(connection: Connection, intent: Intent, error: str, now: datetime) -> None:
    """Mark that the POST got no clear answer; its money stays reserved."""
    _move(
        connection,
        intent,
        (IntentState.SUBMITTING,),
        now,
        state=IntentState.UNKNOWN.value,
        lost_at=now,
        absent_listings=0,
        error=error[:MAX_ERROR_LENGTH],
    )


def accept(connection: Connection, intent: Intent, prediction_id: str, now: datetime) -> None:
    """Store the prediction id: first thing after the reply, or when reconciliation found it."""
    _move(
        connection,
        intent,
        (IntentState.SUBMITTING, IntentState.UNKNOWN, IntentState.QUESTION),
        now,
        state=IntentState.SUBMITTED.value,
        prediction_id=prediction_id,
        error=None,
    )


def note_absence(connection: Connection, intent: Intent, now: datetime) -> None:
    """Count one complete listing of the provider's that does not hold the prediction."""
    _move(
        connection,
        intent,
        (IntentState.UNKNOWN,),
        now,
        absent_listings=intents.c.absent_listings + 1,
    )


def ask(connection: Connection, intent: Intent, question: str, now: datetime) -> None:
    """Leave it to a person: the money stays reserved until they decide."""
    _move(
        connection,
        intent,
        (IntentState.UNKNOWN,),
        now,
        state=IntentState.QUESTION.value,
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
        state=IntentState.REFUSED.value,
        reserved_microusd=0,
        completed_at=now,
        billed=BillingState.FREE.value,
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
) -> MicroUsd:
    """Write what a terminal prediction cost; what stays reserved is returned."""
    # The intent before its budgets, as everywhere: Postgres locks rows in the order of the writes.
    held = MicroUsd(max(0, intent.reserved_microusd - amount))
    _move(
        connection,
        intent,
        (IntentState.SUBMITTED,),
        now,
        state=IntentState.COMPLETED.value,
        charged_microusd=amount,
        reserved_microusd=held,
        billed=billed.value,
        predict_seconds=predict_seconds,
        completed_at=now,
    )
    covered = MicroUsd(intent.reserved_microusd - held)
    movements.charge(connection, intent.intent_id, amount, covered, now)
    return held


def fail(
    connection: Connection, intent: Intent, error_class: str, error: str, now: datetime
) -> None:
    """End a charged intent without a clip and release what is left of its reservation."""
    _move(
        connection,
        intent,
        (IntentState.COMPLETED,),
        now,
        state=IntentState.FAILED.value,
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
        state=IntentState.DELIVERED.value,
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
    **values: object,
) -> None:
    moved = connection.execute(
        update(intents)
        .where(
            intents.c.intent_id == intent.intent_id,
            intents.c.worker_id == intent.worker_id,
            intents.c.state == intent.state.value,
        )
        .values(updated_at=now, **values)
    ).rowcount
    if intent.state not in expected or not moved:
        raise IntentMovedError(
            f"intent {intent.intent_id} was {intent.state.value}; expected {', '.join(expected)}"
        )
