"""Clips: which stored file is the current one of each prompt's variant, and what made it.

Clips whose object was deleted or lost stay on record and are never returned.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection, bindparam, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.ledger.deletion_guard import check_not_removed, check_not_removing
from asset_pipeline.ledger.records import Clip, Intent, Parent, Reuse, StoredFile, clip_from, row_of
from asset_pipeline.ledger.schema import clips, intents, lineage
from asset_pipeline.ledger.wants import Want, declare, is_newest
from asset_pipeline.money import MicroUsd

IS_CURRENT = (clips.c.superseded_at.is_(None), clips.c.removed_at.is_(None))
"""What holds of a prompt's clip that is shown, used and counted on."""


def find_by_generation(
    connection: Connection, generation_hash: str, not_before: datetime | None = None
) -> Clip | None:
    """Return the newest clip of a generation, whichever prompt it was made for.

    A clip counts from when its file was delivered, not from when it was last reused: files that
    were delivered before ``not_before`` are left out.
    """
    if not_before is None:
        rows = connection.execute(_OF_GENERATION, {"generation": generation_hash})
    else:
        looked_for = {"generation": generation_hash, "not_before": not_before}
        rows = connection.execute(_YOUNG_OF_GENERATION, looked_for)
    row = rows.mappings().one_or_none()
    return None if row is None else clip_from(row)


def current(connection: Connection, kind: Kind, prompt_id: str) -> list[Clip]:
    """Return the current clips of a prompt, by variant."""
    rows = connection.execute(
        select(clips)
        .where(
            clips.c.kind == kind.value,
            clips.c.prompt_id == prompt_id,
            *IS_CURRENT,
        )
        .order_by(clips.c.variant)
    )
    return [clip_from(row) for row in rows.mappings()]


def all_current(connection: Connection) -> list[Clip]:
    """Return all current clips, by kind, collection, prompt and variant."""
    rows = connection.execute(
        select(clips)
        .where(*IS_CURRENT)
        .order_by(clips.c.kind, clips.c.collection, clips.c.prompt_id, clips.c.variant)
    )
    return [clip_from(row) for row in rows.mappings()]


def all_current_with_texts(connection: Connection) -> list[tuple[Clip, str]]:
    """Return all current clips with the text that made each; those of a collection in a row."""
    rows = connection.execute(
        select(clips, intents.c.prompt_text)
        .join(intents, intents.c.intent_id == clips.c.intent_id)
        .where(*IS_CURRENT)
        .order_by(clips.c.collection, clips.c.kind, clips.c.created_at, clips.c.variant)
    )
    return [(clip_from(row), row["prompt_text"]) for row in rows.mappings()]


def record(
    connection: Connection,
    intent: Intent,
    stored: StoredFile,
    cost: MicroUsd,
    parents: Iterable[Parent],
    now: datetime,
) -> Clip:
    """Record the file that an intent paid for.

    It becomes the current clip of its prompt's variant, unless something newer is wanted there by
    now: then it lands superseded already. One that had been given up and turned up late replaces
    no clip that was made of the same request meanwhile.

    Raises:
        ObjectRemovedError: An equal file is being deleted; store this one again.
    """
    check_not_removing(connection, stored.object_key, now)
    clip = Clip(
        clip_id=uuid.uuid4().hex,
        kind=intent.kind,
        prompt_id=intent.prompt_id,
        collection=intent.collection,
        variant=intent.variant,
        model=intent.model,
        generation_hash=intent.generation_hash,
        intent_id=intent.intent_id,
        prediction_id=intent.prediction_id or "",
        run_id=intent.run_id,
        object_key=stored.object_key,
        object_uri=stored.object_uri,
        sha256=stored.sha256,
        bytes=stored.bytes,
        mime=stored.mime,
        width=stored.width,
        height=stored.height,
        duration_seconds=stored.duration_seconds,
        cost_microusd=cost,
        created_at=now,
        superseded_at=None,
        wanted_hash=intent.wanted_hash,
        strategy=intent.strategy,
        provider=intent.provider,
        base_url=intent.base_url,
        account=intent.account,
        wanted_order=intent.wanted_order,
    )
    if _is_wanted(connection, intent):
        _make_current(connection, clip, now)
    else:
        clip = replace(clip, superseded_at=now)
        connection.execute(_INSERT, row_of(clip))
    add_lineage(connection, clip.object_uri, clip.sha256, parents, run_id=clip.run_id, now=now)
    return clip


def _is_wanted(connection: Connection, intent: Intent) -> bool:
    wanted_hash = intent.wanted_hash or intent.generation_hash
    want = Want(intent.kind, intent.prompt_id, intent.variant, 0, wanted_hash, intent.wanted_order)
    if not is_newest(connection, want):
        return False
    shown = next(
        (
            clip
            for clip in current(connection, intent.kind, intent.prompt_id)
            if clip.variant == intent.variant
            and (clip.wanted_hash or clip.generation_hash) == wanted_hash
        ),
        None,
    )
    if shown is None:
        return True
    return intent.found_late_at is None and shown.wanted_order <= intent.wanted_order


def set_cost(connection: Connection, intent: Intent, cost: MicroUsd) -> None:
    """Set what the clip that an intent paid for has cost; those that reuse it stay free."""
    own = (clips.c.prompt_id == intent.prompt_id) & (clips.c.variant == intent.variant)
    payer = (
        select(clips.c.clip_id)
        .where(clips.c.intent_id == intent.intent_id, own)
        .order_by(clips.c.created_at, clips.c.clip_id)
        .limit(1)
        .scalar_subquery()
    )
    connection.execute(update(clips).where(clips.c.clip_id == payer).values(cost_microusd=cost))


def reuse(connection: Connection, clip: Clip, use: Reuse, now: datetime) -> Clip:
    """Make an existing clip the current one of a prompt's variant, at no cost.

    It stays as it is when it is so already, which is what nearly every cache hit is. When
    something newer is wanted by now it is returned as superseded, and nothing is written.

    Raises:
        ObjectRemovedError: The clip was deleted or lost since it was found.
    """
    wanted = use.wanted_hash or clip.generation_hash
    want = Want(use.kind, use.prompt_id, use.variant, use.variants, wanted, use.wanted_order)
    if not declare(connection, want, now):
        return replace(clip, superseded_at=clip.superseded_at or now)
    for known in current(connection, use.kind, use.prompt_id):
        same = (known.generation_hash, known.wanted_hash) == (clip.generation_hash, use.wanted_hash)
        if known.variant == use.variant and same:
            return known
    check_not_removed(connection, clip.clip_id)
    used = replace(
        clip,
        clip_id=uuid.uuid4().hex,
        kind=use.kind,
        prompt_id=use.prompt_id,
        collection=use.collection,
        variant=use.variant,
        run_id=use.run_id,
        cost_microusd=MicroUsd(0),
        created_at=now,
        superseded_at=None,
        wanted_hash=use.wanted_hash,
        strategy=use.strategy,
        # The approval belongs to the other prompt's clip; the object is kept with it.
        approved_at=None,
        used_at=None,
        wanted_order=use.wanted_order,
    )
    _make_current(connection, used, now)
    parents = [Parent("clip", clip.clip_id, clip.sha256, "reused")]
    add_lineage(connection, used.object_uri, used.sha256, parents, run_id=use.run_id, now=now)
    return used


def add_lineage(
    connection: Connection,
    child_uri: str,
    child_sha256: str,
    parents: Iterable[Parent],
    *,
    run_id: str,
    now: datetime,
) -> None:
    """Write what a file was made from; what is written already stays as it is."""
    rows = [
        {
            "child_uri": child_uri,
            "child_sha256": child_sha256,
            "parent_type": parent.parent_type,
            "parent_id": parent.parent_id,
            "parent_sha256": parent.parent_sha256,
            "relation": parent.relation,
            "run_id": run_id,
            "created_at": now,
        }
        for parent in parents
    ]
    if rows:
        connection.execute(_INSERT_LINEAGE[connection.dialect.name], rows)


def _make_current(connection: Connection, clip: Clip, now: datetime) -> None:
    row = row_of(clip)
    replaced = {f"of_{name}": row[name] for name in ("kind", "prompt_id", "variant")}
    connection.execute(_SUPERSEDE, replaced | {"superseded_at": now})
    connection.execute(_INSERT, row)


# Statements are built once: building one costs as much as SQLite needs to run it.
_INSERT = insert(clips)
_SUPERSEDE = (
    update(clips)
    .where(
        clips.c.kind == bindparam("of_kind"),
        clips.c.prompt_id == bindparam("of_prompt_id"),
        clips.c.variant == bindparam("of_variant"),
        clips.c.superseded_at.is_(None),
    )
    .values(superseded_at=bindparam("superseded_at"))
)
_OF_GENERATION = (
    select(clips)
    .where(clips.c.generation_hash == bindparam("generation"), clips.c.removed_at.is_(None))
    .order_by(clips.c.superseded_at.is_not(None), clips.c.created_at.desc())
    .limit(1)
)
_YOUNG_OF_GENERATION = _OF_GENERATION.join(intents, intents.c.intent_id == clips.c.intent_id).where(
    intents.c.delivered_at >= bindparam("not_before")
)
_INSERT_LINEAGE = {
    "sqlite": sqlite.insert(lineage).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(lineage).on_conflict_do_nothing(),
}
