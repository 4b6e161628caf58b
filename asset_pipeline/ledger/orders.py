"""On whose behalf a run pays for a prompt that was submitted over HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, RowMapping, and_, bindparam, select

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.ledger.budgets import KeyCap
from asset_pipeline.ledger.service_schema import (
    ItemState,
    api_keys,
    submission_items,
    submitted_prompts,
)
from asset_pipeline.money import MicroUsd


class OrderCancelledError(AssetPipelineError):
    """All submissions that asked for the prompt were cancelled, or their keys ended."""


@dataclass(frozen=True, slots=True)
class Order:
    """Who pays: the key of the oldest submission that still wants the prompt.

    Attributes:
        key_id: None where the service knows no keys.
        cap: What that key may spend; None for no cap of its own.
    """

    key_id: str | None = None
    cap: KeyCap | None = None


def order_of(
    connection: Connection, launch_id: str, kind: Kind, prompt_id: str, now: datetime
) -> Order:
    """Return on whose behalf a launch pays for a prompt.

    A key that was revoked, or has expired, begins nothing more: whoever took it spends no further.

    Raises:
        OrderCancelledError: Nobody wants it any more.
    """
    asked = {"launch": launch_id, "kind": kind.value, "prompt_id": prompt_id}
    rows = connection.execute(_ORDERS, asked).mappings().all()
    if not rows:
        return Order()
    for row in rows:
        expires = row["expires_at"]
        ended = row["revoked_at"] is not None or (expires is not None and expires <= now)
        if row["state"] != ItemState.CANCELLED.value and not ended:
            return _order(row)
    raise OrderCancelledError(
        "The submission was cancelled, or its key ended, before this clip was begun.",
        hint="Submit it again; what has landed is not paid for twice.",
    )


def standing_order(connection: Connection, kind: Kind, prompt_id: str) -> Order:
    """Return on whose behalf a prompt that came over HTTP is paid for without a launch of its own.

    A backfill, or a schedule that tries again what failed, spends from the same key's budget.
    """
    asked = {"kind": kind.value, "prompt_id": prompt_id}
    row = connection.execute(_LAST_ORDER, asked).mappings().first()
    return Order() if row is None else _order(row)


def _order(row: RowMapping) -> Order:
    key_id, cap = row["key_id"], row["budget_microusd"]
    if key_id is None or cap is None:
        return Order(key_id)
    return Order(key_id, KeyCap(key_id, MicroUsd(cap)))


_ASKED = select(
    submission_items.c.state,
    submission_items.c.key_id,
    api_keys.c.budget_microusd,
    api_keys.c.revoked_at,
    api_keys.c.expires_at,
)
_LAST_ORDER = (
    _ASKED.join(
        submitted_prompts,
        and_(
            submitted_prompts.c.kind == submission_items.c.kind,
            submitted_prompts.c.prompt_id == submission_items.c.prompt_id,
        ),
    )
    .outerjoin(api_keys, api_keys.c.key_id == submission_items.c.key_id)
    .where(
        submitted_prompts.c.kind == bindparam("kind"),
        submitted_prompts.c.prompt_id == bindparam("prompt_id"),
    )
    .order_by(submission_items.c.item_id.desc())
    .limit(1)
)
_ORDERS = (
    _ASKED.outerjoin(api_keys, api_keys.c.key_id == submission_items.c.key_id)
    .where(
        submission_items.c.launch_id == bindparam("launch"),
        submission_items.c.kind == bindparam("kind"),
        submission_items.c.prompt_id == bindparam("prompt_id"),
    )
    .order_by(submission_items.c.item_id)
)
