"""On whose behalf a run pays for a prompt that was submitted over HTTP."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, select

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.ledger.budgets import KeyCap
from asset_pipeline.ledger.service_schema import ItemState, api_keys, submission_items
from asset_pipeline.money import MicroUsd


class OrderCancelledError(AssetPipelineError):
    """All submissions that asked for the prompt were cancelled: nothing is begun for them."""


@dataclass(frozen=True, slots=True)
class Order:
    """Who pays: the key of the oldest submission that still wants the prompt.

    Attributes:
        key_id: None where the service knows no keys.
        cap: What that key may spend; None for no cap of its own.
    """

    key_id: str | None = None
    cap: KeyCap | None = None


def order_of(connection: Connection, launch_id: str, kind: Kind, prompt_id: str) -> Order:
    """Return on whose behalf a launch pays for a prompt.

    Raises:
        OrderCancelledError: Nobody wants it any more.
    """
    asked = {"launch": launch_id, "kind": kind.value, "prompt_id": prompt_id}
    rows = connection.execute(_ORDERS, asked).all()
    if not rows:
        return Order()
    for state, key_id, cap in rows:
        if state != ItemState.CANCELLED.value:
            if key_id is None or cap is None:
                return Order(key_id)
            return Order(key_id, KeyCap(key_id, MicroUsd(cap)))
    raise OrderCancelledError(
        "The submission was cancelled before this clip was begun.",
        hint="Submit it again; what has landed is not paid for twice.",
    )


_ORDERS = (
    select(submission_items.c.state, submission_items.c.key_id, api_keys.c.budget_microusd)
    .outerjoin(api_keys, api_keys.c.key_id == submission_items.c.key_id)
    .where(
        submission_items.c.launch_id == bindparam("launch"),
        submission_items.c.kind == bindparam("kind"),
        submission_items.c.prompt_id == bindparam("prompt_id"),
    )
    .order_by(submission_items.c.item_id)
)
