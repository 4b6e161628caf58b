"""Manual resolution: open questions, unknown spending and corrections of charges.

These are the only changes of money outside the paid call, and each is an entry like any other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.ledger import clips, postings, workers
from asset_pipeline.ledger import intents as transitions
from asset_pipeline.ledger.budgets import BudgetLine
from asset_pipeline.ledger.engine import LedgerError
from asset_pipeline.ledger.records import Intent
from asset_pipeline.ledger.schema import BillingState, IntentState, intents
from asset_pipeline.money import MicroUsd, format_usd

ORPHAN = "orphan"

BY_HAND = "by_hand"
"""The error class of intents that a person decided."""

# A ledger is no diary: what was noted first stays.
_LONGEST_NOTE = 2000

_UNPROVED = (IntentState.UNKNOWN, IntentState.QUESTION)


@dataclass(frozen=True, slots=True)
class Orphan:
    """A prediction that the provider billed and no intent asked for."""

    prediction_id: str
    kind: Kind
    model: str
    version: str | None
    prompt_text: str
    amount: MicroUsd
    price_source: str
    predict_seconds: float | None
    created_at: datetime
    completed_at: datetime
    charge_note: str | None = None


def charge_by_hand(connection: Connection, intent: Intent, amount: MicroUsd, now: datetime) -> None:
    """End an undecided intent as paid for: a person says what the provider billed for it.

    An accepted one counts as undecided too, as long as nobody drives it: a provider that has
    forgotten a prediction never says how it ended.

    Args:
        connection: The caller's transaction.
        intent: As it was read; it is left alone when it has moved since.
        amount: What is owed, zero included.
        now: The time of the entries.

    Raises:
        LedgerError: There is nothing to decide, or a living process is still at it.
    """
    _check_undecided(connection, intent, now, decidable=(*_UNPROVED, IntentState.SUBMITTED))
    moved = connection.execute(
        update(intents)
        .where(
            intents.c.intent_id == intent.intent_id,
            intents.c.worker_id == intent.worker_id,
            intents.c.state == intent.state.value,
        )
        .values(
            state=IntentState.FAILED.value,
            charged_microusd=amount,
            reserved_microusd=0,
            billed=(BillingState.BILLED if amount else BillingState.FREE).value,
            error_class=BY_HAND,
            error="charged by hand: it could not be proved what became of it",
            completed_at=now,
            updated_at=now,
        )
    ).rowcount
    if not moved:
        raise _moved(intent)
    covered = MicroUsd(min(amount, intent.reserved_microusd))
    postings.charge(connection, intent.intent_id, amount, covered, now)
    rest = MicroUsd(intent.reserved_microusd - covered)
    postings.release(connection, intent.intent_id, rest, now)


def release_by_hand(connection: Connection, intent: Intent, now: datetime) -> None:
    """End an undecided intent as never accepted: a person says that nothing is owed.

    Raises:
        LedgerError: There is nothing to decide, or a living process is still at it.
    """
    if intent.state is IntentState.SUBMITTED:
        raise LedgerError(
            f"Intent {intent.intent_id} was accepted as prediction {intent.prediction_id}.",
            hint="Once no process drives it, --charge with --usd 0 ends it at no cost.",
        )
    _check_undecided(connection, intent, now, decidable=_UNPROVED)
    try:
        transitions.refuse(connection, intent, BY_HAND, "released by hand", now)
    except transitions.IntentMovedError:
        raise _moved(intent) from None


def record_orphan(
    connection: Connection, orphan: Orphan, lines: Sequence[BudgetLine], now: datetime
) -> bool:
    """Write spending that no intent asked for, as a priced row of its own.

    It is charged even where it passes a cap, since it is owed already.

    Returns:
        Whether it was new.
    """
    owner = select(intents.c.intent_id).where(intents.c.prediction_id == orphan.prediction_id)
    if connection.execute(owner).first() is not None:
        return False
    digest = hashlib.sha256(f"{ORPHAN}:{orphan.prediction_id}".encode()).hexdigest()
    intent_id = digest[:32]
    postings.sync_caps(connection, lines, now)
    connection.execute(
        insert(intents).values(
            intent_id=intent_id,
            generation_hash=digest,
            attempt=1,
            kind=orphan.kind.value,
            prompt_id=ORPHAN,
            collection=ORPHAN,
            variant=1,
            model=orphan.model,
            version=orphan.version,
            prompt_text=orphan.prompt_text,
            inputs_json="{}",
            run_id=ORPHAN,
            worker_id=ORPHAN,
            state=IntentState.FAILED.value,
            prediction_id=orphan.prediction_id,
            reserved_microusd=0,
            charged_microusd=orphan.amount,
            price_source=orphan.price_source,
            billed=BillingState.ORPHAN.value,
            predict_seconds=orphan.predict_seconds,
            charge_note=orphan.charge_note,
            error_class=ORPHAN,
            error="the provider made it and no intent asked for it",
            created_at=orphan.created_at,
            submitted_at=orphan.created_at,
            completed_at=orphan.completed_at,
            updated_at=now,
        )
    )
    postings.charge(connection, intent_id, orphan.amount, MicroUsd(0), now)
    return True


def correct(
    connection: Connection, intent: Intent, amount: MicroUsd, because: str, now: datetime
) -> Intent:
    """Set what an intent that ended was charged: a person knows the provider's bill better.

    The difference is an entry like any other, and may be negative. What the clip is said to have
    cost follows.

    Args:
        connection: The caller's transaction.
        intent: As it was read; it is left alone when it has changed since.
        amount: What is owed in truth, zero included.
        because: Who says so and why; kept with the intent, beside what was noted before.
        now: The time of the entry.

    Raises:
        LedgerError: There is nothing to correct, or the intent was changed meanwhile.
    """
    if intent.state not in {IntentState.DELIVERED, IntentState.FAILED}:
        raise LedgerError(
            f"Intent {intent.intent_id} is {intent.state.value}: only what was charged and has "
            "ended is corrected.",
            hint="`asset-pipeline reconcile` brings open intents to their end.",
        )
    if amount == intent.charged_microusd:
        raise LedgerError(f"Intent {intent.intent_id} is charged {format_usd(amount)} already.")
    before, after = format_usd(intent.charged_microusd), format_usd(amount)
    note = f"{before} corrected to {after} on {now:%Y-%m-%d %H:%M} UTC by {because}"
    notes = "; ".join(filter(None, (intent.charge_note, note)))
    billed = BillingState.BILLED if amount else BillingState.FREE
    if intent.billed is BillingState.ORPHAN:
        billed = BillingState.ORPHAN
    moved = connection.execute(
        update(intents)
        .where(
            intents.c.intent_id == intent.intent_id,
            intents.c.state == intent.state.value,
            intents.c.charged_microusd == intent.charged_microusd,
        )
        .values(
            charged_microusd=amount,
            billed=billed.value,
            charge_note=notes[:_LONGEST_NOTE],
            updated_at=now,
        )
    ).rowcount
    if not moved:
        raise _moved(intent)
    difference = MicroUsd(amount - intent.charged_microusd)
    postings.charge(connection, intent.intent_id, difference, MicroUsd(0), now)
    clips.set_cost(connection, intent, amount)
    return transitions.get(connection, intent.intent_id)


def _check_undecided(
    connection: Connection, intent: Intent, now: datetime, *, decidable: Sequence[IntentState]
) -> None:
    if not intent.is_open:
        raise LedgerError(
            f"Intent {intent.intent_id} has ended as {intent.state.value}, charged "
            f"{format_usd(intent.charged_microusd)}: there is nothing to decide."
        )
    asked = intent.state is IntentState.QUESTION
    if not asked and workers.is_alive(connection, intent.worker_id, now):
        raise LedgerError(
            f"Intent {intent.intent_id} is driven by a running process.",
            hint="Wait for it, or stop it.",
        )
    if intent.state not in decidable:
        raise LedgerError(
            f"Intent {intent.intent_id} is {intent.state.value}: there is nothing to decide yet.",
            hint="Run `asset-pipeline reconcile`, which proves it or asks.",
        )


def _moved(intent: Intent) -> LedgerError:
    return LedgerError(
        f"Intent {intent.intent_id} has moved on meanwhile; nothing was changed.",
        hint="`asset-pipeline reconcile` shows how it stands now.",
    )
