"""Substitutes: clips made with a simpler prompt, a generic one or another model.

A wanted clip may have been made in another way than was asked. It is done all the same, must be
found when it is wanted again, and must not be paid for in two ways at once. A stand-in counts in
its own collection alone: another one may not have agreed to generic prompts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, bindparam, case, func, or_, select

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.chunks import chunks
from asset_pipeline.ledger.clips import find_by_generation
from asset_pipeline.ledger.records import Clip, Intent, clip_from, intent_from
from asset_pipeline.ledger.schema import OPEN_STATES, IntentState, clips, intents
from asset_pipeline.money import MicroUsd

_ENDED_WITHOUT = [IntentState.FAILED.value, IntentState.REFUSED.value]

# SQLite takes 32,766 parameters a statement, Postgres 65,535.
_HASHES_A_QUERY = 5000


@dataclass(frozen=True, slots=True)
class Stake:
    """What an unfinished prompt has cost in a run, and what is reserved for it.

    Attributes:
        attempts: Payments begun for it in the run.
        charged: Charged in the run for what brought no clip.
        reserved: Set aside still, because its fate is not known or its clip not fetched yet.
    """

    attempts: int
    charged: MicroUsd
    reserved: MicroUsd


def find(
    connection: Connection, wanted_hash: str, collection: str, not_before: datetime | None
) -> Clip | Intent | None:
    """Return the newest stored stand-in for a generation, else an open intent for one.

    Args:
        connection: The caller's transaction.
        wanted_hash: The generation that is wanted.
        collection: Whose clip it is to be.
        not_before: Files that were delivered before this time don't count.
    """
    wanted = {"wanted": wanted_hash, "of_collection": collection}
    if not_before is None:
        rows = connection.execute(_STORED, wanted)
    else:
        rows = connection.execute(_STORED_YOUNG, wanted | {"not_before": not_before})
    stored = rows.mappings().one_or_none()
    if stored is not None:
        return clip_from(stored)
    row = connection.execute(_OPEN, wanted).mappings().first()
    return None if row is None else intent_from(row)


class AnotherWayError(Exception):
    """The clip is stored or being made already, as a substitute."""

    def __init__(self, found: Clip | Intent) -> None:
        super().__init__()
        self.found = found


def check_only_way(connection: Connection, intent: Intent, not_before: datetime | None) -> None:
    """Refuse a reservation if another process has stored or begun a substitute.

    Args:
        connection: A transaction that has reserved the intent's money: on Postgres that makes
            reservations take turns, so that of two processes one sees the other.
        intent: The new intent.
        not_before: Files that were delivered before this time don't count.

    Raises:
        AnotherWayError: It holds the other's clip or open intent; roll back.
    """
    wanted = intent.wanted_hash or intent.generation_hash
    sought = {"wanted": wanted, "of_collection": intent.collection, "but": intent.intent_id}
    row = connection.execute(_OPEN_BESIDE, sought).mappings().first()
    if row is not None:
        raise AnotherWayError(intent_from(row))
    stored = find(connection, wanted, intent.collection, not_before)
    if not isinstance(stored, Clip) and wanted != intent.generation_hash:
        stored = find_by_generation(connection, wanted, not_before)
    if isinstance(stored, Clip):
        raise AnotherWayError(stored)


def stored_for(connection: Connection, hashes: Iterable[str]) -> set[tuple[str, str]]:
    """Return which of these generations have a stored stand-in, each with its collection."""
    query = select(clips.c.wanted_hash, clips.c.collection).where(clips.c.removed_at.is_(None))
    return _pairs(connection, query, clips.c.wanted_hash, hashes)


def open_for(connection: Connection, hashes: Iterable[str]) -> set[tuple[str, str]]:
    """Return which of these generations have an open stand-in, each with its collection."""
    query = select(intents.c.wanted_hash, intents.c.collection).where(
        intents.c.state.in_(OPEN_STATES)
    )
    return _pairs(connection, query, intents.c.wanted_hash, hashes)


def failed_attempts(
    connection: Connection, kind: Kind, prompt_id: str, variant: int, run_id: str
) -> list[Intent]:
    """Return the attempts at a clip that ended without it in a run, oldest first."""
    rows = connection.execute(
        select(intents)
        .where(
            intents.c.kind == kind.value,
            intents.c.prompt_id == prompt_id,
            intents.c.variant == variant,
            intents.c.run_id == run_id,
            intents.c.state.in_(_ENDED_WITHOUT),
        )
        .order_by(intents.c.created_at, intents.c.attempt)
    )
    return [intent_from(row) for row in rows.mappings()]


def stake_of(connection: Connection, kind: Kind, prompt_id: str, run_id: str) -> Stake:
    """Return what a prompt has cost in a run without a clip, and what it holds."""
    of_run = intents.c.run_id == run_id
    wasted = of_run & intents.c.state.in_(_ENDED_WITHOUT)
    row = connection.execute(
        select(
            func.count(case((of_run, 1))),
            func.sum(case((wasted, intents.c.charged_microusd), else_=0)),
            func.sum(intents.c.reserved_microusd),
        ).where(intents.c.kind == kind.value, intents.c.prompt_id == prompt_id)
    ).one()
    attempts, charged, reserved = (int(value or 0) for value in row)
    return Stake(attempts, MicroUsd(charged), MicroUsd(reserved))


def _pairs(
    connection: Connection,
    query: Select[Any, Any],
    column: ColumnElement[str],
    hashes: Iterable[str],
) -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    for chunk in chunks(hashes, _HASHES_A_QUERY):
        found.update((row[0], row[1]) for row in connection.execute(query.where(column.in_(chunk))))
    return found


# Statements are built once: building one costs as much as SQLite needs to run it.
_STORED = (
    select(clips)
    .where(
        clips.c.wanted_hash == bindparam("wanted"),
        clips.c.collection == bindparam("of_collection"),
        clips.c.removed_at.is_(None),
    )
    .order_by(clips.c.superseded_at.is_not(None), clips.c.created_at.desc())
    .limit(1)
)
_STORED_YOUNG = _STORED.join(intents, intents.c.intent_id == clips.c.intent_id).where(
    intents.c.delivered_at >= bindparam("not_before")
)
_OPEN = select(intents).where(
    intents.c.wanted_hash == bindparam("wanted"),
    intents.c.collection == bindparam("of_collection"),
    intents.c.state.in_(OPEN_STATES),
)
_OPEN_BESIDE = select(intents).where(
    or_(
        intents.c.wanted_hash == bindparam("wanted"),
        intents.c.generation_hash == bindparam("wanted"),
    ),
    intents.c.collection == bindparam("of_collection"),
    intents.c.state.in_(OPEN_STATES),
    intents.c.intent_id != bindparam("but"),
)
