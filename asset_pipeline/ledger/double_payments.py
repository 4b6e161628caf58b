"""Detecting clips that were paid for twice without a reason.

A second payment has a reason when the first one failed before it, when its file was lost or deleted
before it, or when somebody asked for it by force. Whatever else it is, it should never have been.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, FromClause, and_, false, func, or_, select

from asset_pipeline.ledger.custody_schema import CustodyAction, custody
from asset_pipeline.ledger.schema import BillingState, IntentState, clips, intents

_ACCEPTED = [
    state.value for state in (IntentState.SUBMITTED, IntentState.COMPLETED, IntentState.DELIVERED)
]
# What another provider or account was paid for is nobody's reason, and no clip for this one.
_ORIGIN = ("provider", "base_url", "account")
_GONE = [CustodyAction.LOSE.value, CustodyAction.DELETE.value]


@dataclass(frozen=True, slots=True)
class DoublePayment:
    """Two payments for one wanted clip, the later one without a reason."""

    kind: str
    prompt_id: str
    variant: int
    earlier: str
    later: str


def double_payments(connection: Connection) -> Iterator[DoublePayment]:
    """Yield each pair of payments for one clip; those that an earlier release made are left out.

    Its rows don't say which of them somebody asked for by force.
    """
    seen: set[tuple[str, str]] = set()
    for same in _SAME_CLIP:
        query = (
            select(
                _later.c.kind,
                _later.c.prompt_id,
                _later.c.variant,
                _earlier.c.intent_id.label("earlier"),
                _later.c.intent_id.label("later"),
            )
            .join_from(_earlier, _later, same)
            .where(
                _later.c.counts_from.is_not(None),
                _is_paid(_earlier),
                _is_paid(_later),
                *(_earlier.c[name] == _later.c[name] for name in _ORIGIN),
                ~_has_reason(),
            )
            .order_by(_later.c.created_at, _later.c.intent_id)
        )
        for row in connection.execute(query).mappings():
            pair = (row["earlier"], row["later"])
            if pair not in seen:
                seen.add(pair)
                yield DoublePayment(**row)


_earlier, _later = intents.alias("earlier"), intents.alias("later")

_before = or_(
    _earlier.c.created_at < _later.c.created_at,
    and_(_earlier.c.created_at == _later.c.created_at, _earlier.c.intent_id < _later.c.intent_id),
)

# A stand-in counts in its own collection alone: another one may not have agreed to it.
_SAME_CLIP: tuple[ColumnElement[bool], ...] = (
    and_(
        _earlier.c.generation_hash == _later.c.generation_hash,
        _earlier.c.attempt < _later.c.attempt,
    ),
    *(
        and_(one == other, _earlier.c.collection == _later.c.collection, _before)
        for one, other in (
            (_earlier.c.wanted_hash, _later.c.generation_hash),
            (_earlier.c.generation_hash, _later.c.wanted_hash),
            (_earlier.c.wanted_hash, _later.c.wanted_hash),
        )
    ),
)


def _is_paid(side: FromClause) -> ColumnElement[bool]:
    is_orphan = side.c.billed.is_not(None) & (side.c.billed == BillingState.ORPHAN.value)
    return or_(side.c.charged_microusd > 0, side.c.state.in_(_ACCEPTED)) & ~is_orphan


def _has_reason() -> ColumnElement[bool]:
    ended_without = (_earlier.c.state == IntentState.FAILED.value) & (
        _earlier.c.completed_at <= _later.c.created_at
    )
    was_forced = _earlier.c.delivered_at < _later.c.counts_from
    # A time that is missing makes a comparison neither true nor false: it is no reason.
    return or_(*(func.coalesce(each, false()) for each in (ended_without, was_forced)), _was_gone())


def _was_gone() -> ColumnElement[bool]:
    """Tell whether the earlier payment's file had been lost or deleted before the later one."""
    return (
        select(clips.c.clip_id)
        .join(custody, custody.c.object_key == clips.c.object_key)
        .where(
            clips.c.intent_id == _earlier.c.intent_id,
            custody.c.action.in_(_GONE),
            custody.c.created_at <= _later.c.created_at,
        )
        .exists()
    )
