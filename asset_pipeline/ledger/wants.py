"""The newest request for each variant of each prompt.

Clips land in any order: one whose process was killed lands hours later, after its prompt was
edited and made anew. So a clip becomes the current one only while nothing newer is wanted of its
place; otherwise it lands superseded already. A run takes its number before it reads the prompts,
so that a greater number never stands for an older text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.ledger.schema import clips, ledger_identity, wants


@dataclass(frozen=True, slots=True)
class Want:
    """One clip that a run wants.

    Attributes:
        variants: How many clips the run wants of the prompt; zero leaves the others alone.
        wanted_hash: The generation that is wanted.
        order: The run's number; zero for whoever has none, which then counts as the newest.
    """

    kind: Kind
    prompt_id: str
    variant: int
    variants: int
    wanted_hash: str
    order: int


def take_order(connection: Connection) -> int:
    """Return the next number of the order, greater than all before."""
    return connection.execute(_TAKE).scalar_one()


def declare(connection: Connection, want: Want, now: datetime) -> bool:
    """Write what is wanted, unless something newer is wanted already; tell whether it holds.

    Variants that are wanted no more, because the prompt asks for fewer, lose their current clip.
    """
    known = _of_prompt(connection, want.kind, want.prompt_id)
    mine = known.get(want.variant)
    if not want.order or (mine is not None and mine.order >= want.order):
        return _is_newest(want, mine)
    key = {"kind": want.kind.value, "prompt_id": want.prompt_id, "variant": want.variant}
    asked = {"wanted_hash": want.wanted_hash, "wanted_order": want.order}
    connection.execute(_DECLARE[connection.dialect.name], key | asked)
    if want.variants:
        _drop_variants(connection, want, known, now)
    return True


def is_newest(connection: Connection, want: Want) -> bool:
    """Tell whether nothing newer is wanted of the same place."""
    return _is_newest(want, _of_prompt(connection, want.kind, want.prompt_id).get(want.variant))


@dataclass(frozen=True, slots=True)
class _Known:
    wanted_hash: str
    order: int


def _is_newest(want: Want, known: _Known | None) -> bool:
    return known is None or known.wanted_hash == want.wanted_hash or known.order <= want.order


def _of_prompt(connection: Connection, kind: Kind, prompt_id: str) -> dict[int, _Known]:
    rows = connection.execute(_GET, {"of_kind": kind.value, "of_prompt_id": prompt_id})
    return {variant: _Known(wanted_hash, order) for variant, wanted_hash, order in rows}


def _drop_variants(
    connection: Connection, want: Want, known: Mapping[int, _Known], now: datetime
) -> None:
    """Drop the higher variants; earlier releases recorded only their clips."""
    higher = {
        variant: each
        for variant, each in known.items()
        if variant > want.variants and each.order < want.order
    }
    dropped = [variant for variant, each in higher.items() if each.wanted_hash]
    of_prompt = {"of_kind": want.kind.value, "of_prompt_id": want.prompt_id}
    if dropped:
        rows = [of_prompt | {"of_variant": variant, "order": want.order} for variant in dropped]
        connection.execute(_DROP, rows)
    newer = any(variant > want.variants and variant not in higher for variant in known)
    if dropped or not (known or newer):
        above = {"above": want.variants, "superseded_at": now}
        connection.execute(_SUPERSEDE_ABOVE, of_prompt | above)


# Statements are built once: building one costs as much as SQLite needs to run it.
_TAKE = (
    update(ledger_identity)
    .values(last_order=ledger_identity.c.last_order + 1)
    .returning(ledger_identity.c.last_order)
)
_GET = select(wants.c.variant, wants.c.wanted_hash, wants.c.wanted_order).where(
    wants.c.kind == bindparam("of_kind"), wants.c.prompt_id == bindparam("of_prompt_id")
)
_KEY = [wants.c.kind, wants.c.prompt_id, wants.c.variant]
_sqlite, _postgres = sqlite.insert(wants), postgresql.insert(wants)
_DECLARE = {
    "sqlite": _sqlite.on_conflict_do_update(
        index_elements=_KEY,
        set_={
            "wanted_hash": _sqlite.excluded.wanted_hash,
            "wanted_order": _sqlite.excluded.wanted_order,
        },
        where=wants.c.wanted_order < _sqlite.excluded.wanted_order,
    ),
    "postgresql": _postgres.on_conflict_do_update(
        index_elements=_KEY,
        set_={
            "wanted_hash": _postgres.excluded.wanted_hash,
            "wanted_order": _postgres.excluded.wanted_order,
        },
        where=wants.c.wanted_order < _postgres.excluded.wanted_order,
    ),
}
_DROP = (
    update(wants)
    .where(
        wants.c.kind == bindparam("of_kind"),
        wants.c.prompt_id == bindparam("of_prompt_id"),
        wants.c.variant == bindparam("of_variant"),
    )
    .values(wanted_hash="", wanted_order=bindparam("order"))
)
_SUPERSEDE_ABOVE = (
    update(clips)
    .where(
        clips.c.kind == bindparam("of_kind"),
        clips.c.prompt_id == bindparam("of_prompt_id"),
        clips.c.variant > bindparam("above"),
        clips.c.superseded_at.is_(None),
    )
    .values(superseded_at=bindparam("superseded_at"))
)
