"""How many takes of a prompt's variant were asked for beyond the first."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.ledger.service_schema import takes


def bump(connection: Connection, kind: Kind, prompt_id: str, variant: int, now: datetime) -> int:
    """Want another take of a variant, in the caller's transaction; return its number, from 1."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    statement = dialect.insert(takes).values(
        kind=kind.value, prompt_id=prompt_id, variant=variant, take=1, updated_at=now
    )
    upsert = statement.on_conflict_do_update(
        index_elements=["kind", "prompt_id", "variant"],
        set_={"take": takes.c.take + 1, "updated_at": now},
    ).returning(takes.c.take)
    return connection.execute(upsert).scalar_one()


def all_takes(connection: Connection) -> dict[tuple[Kind, str], dict[int, int]]:
    """Return the takes of all prompts that have any, by variant."""
    found: dict[tuple[Kind, str], dict[int, int]] = {}
    rows = connection.execute(
        select(takes.c.kind, takes.c.prompt_id, takes.c.variant, takes.c.take)
    )
    for kind, prompt_id, variant, take in rows:
        found.setdefault((Kind(kind), prompt_id), {})[variant] = take
    return found
