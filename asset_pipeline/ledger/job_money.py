"""What submissions have cost, and the clips that came of them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Engine, bindparam, func, select

from asset_pipeline.ledger.clips import IS_CURRENT
from asset_pipeline.ledger.records import Clip, clip_from
from asset_pipeline.ledger.schema import clips, intents
from asset_pipeline.ledger.service_schema import submission_items
from asset_pipeline.ledger.submissions import Item
from asset_pipeline.ledger.transactions import transaction

_IDS_A_QUERY = 500


def money_of_job(engine: Engine, submission_id: str) -> tuple[int, int]:
    """Return what was charged and is reserved for a submission, in micro-dollars.

    What two submissions wanted in the same run was paid once, and shows with both.
    """
    with transaction(engine, reading=True) as connection:
        charged, reserved = connection.execute(_MONEY, {"id": submission_id}).one()
    return int(charged or 0), int(reserved or 0)


def clips_of_items(engine: Engine, items: Sequence[Item]) -> dict[tuple[str, str], list[Clip]]:
    """Return the current clips of some prompts, by variant."""
    found: dict[tuple[str, str], list[Clip]] = {}
    ids = sorted({item.prompt_id for item in items})
    with transaction(engine, reading=True) as connection:
        for start in range(0, len(ids), _IDS_A_QUERY):
            chunk = ids[start : start + _IDS_A_QUERY]
            rows = connection.execute(
                select(clips)
                .where(clips.c.kind.in_(["image", "audio"]), clips.c.prompt_id.in_(chunk))
                .where(*IS_CURRENT)
                .order_by(clips.c.variant)
            )
            for row in rows.mappings():
                found.setdefault((row["kind"], row["prompt_id"]), []).append(clip_from(row))
    return found


_ASKED = (
    select(submission_items.c.launch_id, submission_items.c.kind, submission_items.c.prompt_id)
    .where(
        submission_items.c.submission_id == bindparam("id"),
        submission_items.c.launch_id.is_not(None),
    )
    .distinct()
    .subquery()
)
_MONEY = select(
    func.sum(intents.c.charged_microusd), func.sum(intents.c.reserved_microusd)
).select_from(
    _ASKED.join(
        intents,
        (intents.c.launch_id == _ASKED.c.launch_id)
        & (intents.c.kind == _ASKED.c.kind)
        & (intents.c.prompt_id == _ASKED.c.prompt_id),
    )
)
