"""Calls to language models in the ledger: an intent each, and one way to pay for it.

A call is one POST that nobody can list afterwards. So its states are few: its worst case is
reserved, it is marked as sent, and it ends with the price that the answer named; where no price is
known it ends at the worst case, which stays charged until the key's usage proves less. A call that
ended so is not sent again by itself.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_FLOOR, Decimal
from typing import Any

from pydantic import JsonValue
from sqlalchemy import Connection, Engine, RowMapping, func, insert, select, update

from asset_pipeline.clock import Clock
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.ledger import budget_tickets, clips, postings, workers
from asset_pipeline.ledger.access import LedgerAccess
from asset_pipeline.ledger.budgets import BudgetCaps, budget_lines
from asset_pipeline.ledger.identity import HeldIdentity
from asset_pipeline.ledger.llm_schema import Evidence, llm_calls
from asset_pipeline.ledger.records import Parent
from asset_pipeline.ledger.schema import TEXT, BillingState, IntentState, intents
from asset_pipeline.ledger.transactions import looking_again, transaction
from asset_pipeline.money import MicroUsd, format_usd, micro_usd_ceiling
from asset_pipeline.origin import Origin

_LONGEST_ERROR = 500
_LONGEST_NOTE = 2000

UNPROVED = "reply_lost"
"""The error class of a call whose reply was lost: it may be paid for."""

NEVER_MADE = "never_made"
"""The error class of a lost call of which the key's usage proves that nothing was paid."""

# A provider adds up in floats: of a thousand dollars the last digit that holds is far below this.
_ROUNDING = Decimal("1e-7")

_OPEN = (IntentState.RESERVED.value, IntentState.SUBMITTING.value)


class CallInFlightError(AssetPipelineError):
    """Another process makes this very call now."""


class LostCallError(AssetPipelineError):
    """The reply of this very call was lost, and nothing proves that it was not made."""


@dataclass(frozen=True, slots=True)
class NewCall:
    """A call about to be paid for.

    Attributes:
        call_hash: Of all that decides the answer.
        operation: What it is for: ``draft``, ``translate`` and so on.
        subject: The brief's or the collection's name.
        subject_sha256: Of the brief, or of the prompts, as they were.
        collection: Whose budget it falls under.
        content: What is sent.
        told: The part of it that people want to read.
    """

    call_hash: str
    operation: str
    subject: str
    subject_sha256: str
    collection: str
    model: str
    content: Mapping[str, JsonValue]
    told: str
    worst_case: MicroUsd
    price_source: str
    origin: Origin


@dataclass(frozen=True, slots=True)
class Answered:
    """What an answer came to.

    Attributes:
        cost: US dollars as the provider counted them; None where it said nothing usable.
        error_class: Why it is of no use; None for a good one.
    """

    generation_id: str
    model: str
    finish_reason: str
    prompt_tokens: int | None
    completion_tokens: int | None
    cost: Decimal | None
    text: str
    error_class: str | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class LlmCall:
    """One call as the ledger knows it."""

    intent_id: str
    call_hash: str
    operation: str
    subject: str
    subject_sha256: str
    collection: str
    model: str
    run_id: str
    worker_id: str
    state: IntentState
    evidence: Evidence
    generation_id: str | None
    worst_case: MicroUsd
    reserved: MicroUsd
    charged: MicroUsd
    account: str
    error_class: str | None
    error: str | None
    note: str | None
    key_usage: Decimal | None
    key_usage_at: datetime | None
    lost_at: datetime | None
    created_at: datetime
    text: str | None

    @property
    def is_good(self) -> bool:
        """Whether its answer can be used."""
        return self.state is IntentState.DELIVERED

    @property
    def is_unproved(self) -> bool:
        """Whether it is charged at its worst case because no price is known."""
        return self.evidence is Evidence.WORST_CASE


@dataclass(frozen=True, slots=True)
class UnprovedCalls:
    """How many calls are charged at their worst case, and how much in all."""

    count: int
    charged: MicroUsd

    @classmethod
    def of(cls, engine: Engine) -> UnprovedCalls:
        """Return those of a ledger."""
        query = (
            select(func.count(), func.coalesce(func.sum(intents.c.charged_microusd), 0))
            .select_from(intents.join(llm_calls))
            .where(llm_calls.c.evidence == Evidence.WORST_CASE.value)
        )
        with transaction(engine, reading=True) as connection:
            count, charged = connection.execute(query).one()
        return cls(int(count), MicroUsd(int(charged)))


class LlmCallRepository(LedgerAccess):
    """Pays calls and remembers them; every method is one transaction.

    Args:
        engine: The ledger's.
        clock: Stamps every row.
        caps: Returns the caps in force; asked at each reservation.
    """

    def __init__(self, engine: Engine, clock: Clock, caps: Callable[[], BudgetCaps]) -> None:
        super().__init__(engine, clock)
        self._caps = caps
        self._identity = HeldIdentity()

    def start_worker(self, run_id: str) -> str:
        """Enter this process as a worker and return the worker id."""
        with self._writing() as (connection, now):
            return workers.register(connection, run_id, now)

    def beat(self, worker_id: str) -> None:
        """Say that the worker is alive."""
        with self._writing() as (connection, now):
            workers.beat(connection, worker_id, now)

    def end_worker(self, worker_id: str) -> None:
        """Say that the worker stopped, and end what it left under way."""
        with self._writing() as (connection, now):
            workers.end(connection, worker_id, now)
            _end_of_dead(connection, now)

    def answered(self, call_hash: str) -> LlmCall | None:
        """Return the newest good answer to a call; None if there is none."""
        with self._reading() as connection:
            return _newest_good(connection, call_hash)

    def begin(
        self,
        new: NewCall,
        *,
        run_id: str,
        worker_id: str,
        run_cap: MicroUsd | None = None,
        again: bool = False,
    ) -> LlmCall:
        """Set the worst case aside and write the intent, in one transaction.

        Args:
            new: What is about to be paid for.
            run_id: The run that pays.
            worker_id: The process that pays.
            run_cap: A cap of that run's own.
            again: Send it though the reply of an earlier one was lost.

        Returns:
            The call, in state reserved; or a good answer that is stored already.

        Raises:
            BudgetExceededError: A budget has no headroom; nothing was reserved.
            CallInFlightError: Another process is at it.
            LostCallError: The reply of an earlier one was lost.
        """
        caps = self._caps()

        def begin() -> LlmCall:
            with self._writing() as (connection, now):
                self._identity.check(connection)
                _end_of_dead(connection, now)
                found = _newest_good(connection, new.call_hash)
                if found is not None:
                    return found
                attempts = _attempts(connection, new.call_hash)
                _check_may_be_sent(attempts, again=again)
                intent_id = uuid.uuid4().hex
                attempt = 1 + max((row["attempt"] for row in attempts), default=0)
                row = _row_of(new, intent_id, attempt, run_id, worker_id, now)
                connection.execute(insert(intents).values(row))
                connection.execute(
                    insert(llm_calls).values(
                        intent_id=intent_id,
                        operation=new.operation,
                        subject=new.subject,
                        subject_sha256=new.subject_sha256,
                        evidence=Evidence.NONE.value,
                        worst_case_microusd=new.worst_case,
                    )
                )
                lines = budget_lines(
                    caps,
                    collection=new.collection,
                    run_id=run_id,
                    now=now,
                    run_cap=run_cap,
                    is_text=True,
                )
                tickets = budget_tickets.tickets(connection, now)
                budget_tickets.check_turn(tickets, lines, worker_id, new.worst_case)
                postings.reserve(connection, intent_id, lines, new.worst_case, now)
                return _get(connection, intent_id)

        return looking_again(begin)

    def start(self, call: LlmCall, key_usage: Decimal | None) -> LlmCall:
        """Mark that the POST goes out next; from here on a silence is charged.

        Args:
            call: As it was begun.
            key_usage: What the key has spent so far, in US dollars; None where nobody could tell.
        """
        with self._writing() as (connection, now):
            _move(
                connection,
                call,
                (IntentState.RESERVED,),
                now,
                {"state": IntentState.SUBMITTING.value, "submitted_at": now},
                {
                    "key_usage_usd": None if key_usage is None else str(key_usage),
                    "key_usage_at": None if key_usage is None else now,
                },
            )
            return _get(connection, call.intent_id)

    def refuse(self, call: LlmCall, error_class: str, error: str) -> LlmCall:
        """End a call that was certainly not accepted; all its money is given back."""
        with self._writing() as (connection, now):
            _refuse(connection, call, error_class, error, now)
            return _get(connection, call.intent_id)

    def lose(self, call: LlmCall, error: str, generation_id: str = "") -> LlmCall:
        """End a call without a clear answer: its worst case is charged, and the charge noted."""
        with self._writing() as (connection, now):
            _lose(connection, call, error, now, generation_id)
            return _get(connection, call.intent_id)

    def finish(self, call: LlmCall, answer: Answered) -> LlmCall:
        """Charge a call that was answered and keep the answer.

        Without a usable cost the worst case is charged. A cost above the reservation is charged in
        full, and noted.
        """
        with self._writing() as (connection, now):
            _finish(connection, call, answer, now)
            return _get(connection, call.intent_id)

    def unproved(self) -> list[LlmCall]:
        """Return the calls that are charged at their worst case, oldest first."""
        with self._reading() as connection:
            rows = connection.execute(
                _CALLS.where(llm_calls.c.evidence == Evidence.WORST_CASE.value).order_by(
                    intents.c.created_at
                )
            )
            return [_call_from(row) for row in rows.mappings()]

    def end_of_dead(self) -> int:
        """End the calls of processes that are gone; return how many there were."""
        with self._writing() as (connection, now):
            return _end_of_dead(connection, now)

    def prove(self, call: LlmCall, usage: Decimal, counted_before: datetime) -> LlmCall:
        """Charge a lost call no more than what the key spent since it was about to be sent.

        What other calls of the same key are known to have cost meanwhile is no part of it.

        Args:
            call: Charged at its worst case.
            usage: What the key has spent in all by now, in US dollars. The caller has waited for
                as long as the provider may take to count a call.
            counted_before: Calls that ended before this time are counted in the usage by now.
        """
        if call.key_usage is None or call.key_usage_at is None:
            return call
        with self._writing() as (connection, now):
            others = _known_costs(connection, call, counted_before)
            spent = usage - call.key_usage - others
            # Less than the known calls cost: the provider counts late, or from another beginning.
            if spent >= -_ROUNDING:
                at_most = max(Decimal(0), spent)
                _prove(connection, call, at_most, Evidence.KEY_USAGE, "the key's usage", now)
            return _get(connection, call.intent_id)

    def settle_by_id(self, call: LlmCall, cost: Decimal) -> LlmCall:
        """Charge a lost call what the provider says that it cost."""
        with self._writing() as (connection, now):
            _prove(connection, call, cost, Evidence.ANSWER, "the provider's record of it", now)
            return _get(connection, call.intent_id)

    def add_lineage(
        self, child_uri: str, child_sha256: str, parents: list[Parent], *, run_id: str
    ) -> None:
        """Write what a draft or a prompt was made from."""
        with self._writing() as (connection, now):
            clips.add_lineage(connection, child_uri, child_sha256, parents, run_id=run_id, now=now)


def _row_of(
    new: NewCall, intent_id: str, attempt: int, run_id: str, worker_id: str, now: datetime
) -> dict[str, Any]:
    return {
        "intent_id": intent_id,
        "generation_hash": new.call_hash,
        "attempt": attempt,
        "kind": TEXT,
        "prompt_id": new.subject,
        "collection": new.collection,
        "variant": 1,
        "model": new.model,
        "prompt_text": new.told,
        "inputs_json": json.dumps(new.content, ensure_ascii=False, sort_keys=True),
        "run_id": run_id,
        "worker_id": worker_id,
        "state": IntentState.RESERVED.value,
        "reserved_microusd": new.worst_case,
        "price_source": new.price_source,
        "created_at": now,
        "updated_at": now,
        "provider": new.origin.provider,
        "base_url": new.origin.base_url,
        "account": new.origin.account,
    }


def _check_may_be_sent(attempts: list[RowMapping], *, again: bool) -> None:
    """Refuse what another process sends now, and what may have been paid for already.

    Raises:
        CallInFlightError: Another process is at it.
        LostCallError: The reply of an earlier one was lost.
    """
    for row in attempts:
        if row["state"] in _OPEN:
            raise CallInFlightError(
                "Another process makes this very call to the language model now.",
                hint="Wait for it: its answer is used by whoever asks next, for nothing.",
            )
    lost = next((row for row in attempts if row["error_class"] == UNPROVED), None)
    if lost is not None and not again:
        charged = format_usd(MicroUsd(lost["charged_microusd"]))
        raise LostCallError(
            f"The reply to this very call was lost on {lost['lost_at']:%Y-%m-%d at %H:%M} UTC: it "
            f"may have been made, and is charged at {charged}. It is not sent again by itself.",
            hint="`asset-pipeline reconcile` asks the key's usage whether it was paid for; "
            "--again sends it once more, which may pay for it twice.",
        )


def _refuse(
    connection: Connection, call: LlmCall, error_class: str, error: str, now: datetime
) -> None:
    _move(
        connection,
        call,
        (IntentState.RESERVED, IntentState.SUBMITTING),
        now,
        {
            "state": IntentState.REFUSED.value,
            "reserved_microusd": 0,
            "completed_at": now,
            "billed": BillingState.FREE.value,
            "error_class": error_class,
            "error": error[:_LONGEST_ERROR],
        },
    )
    postings.release(connection, call.intent_id, call.reserved, now)


def _lose(
    connection: Connection, call: LlmCall, error: str, now: datetime, generation_id: str = ""
) -> None:
    _move(
        connection,
        call,
        (IntentState.SUBMITTING,),
        now,
        {
            "state": IntentState.FAILED.value,
            "prediction_id": _unowned(connection, generation_id),
            "reserved_microusd": 0,
            "charged_microusd": call.reserved,
            "billed": BillingState.UNKNOWN.value,
            "lost_at": now,
            "completed_at": now,
            "error_class": UNPROVED,
            "error": error[:_LONGEST_ERROR],
            "charge_note": "charged at the reserved worst case: no answer says what it cost, and "
            "nothing proves yet that it was less",
        },
        {"evidence": Evidence.WORST_CASE.value},
    )
    postings.charge(connection, call.intent_id, call.reserved, call.reserved, now)


def _finish(connection: Connection, call: LlmCall, answer: Answered, now: datetime) -> None:
    is_known = answer.cost is not None
    amount = call.reserved if answer.cost is None else micro_usd_ceiling(answer.cost)
    notes: list[str] = []
    if not is_known:
        notes.append("charged at the reserved worst case: the answer names no cost")
    if amount > call.reserved:
        notes.append(
            f"{format_usd(amount)} charged where {format_usd(call.reserved)} was reserved: the "
            "provider asked more than its listed price"
        )
    good = answer.error_class is None
    generation_id = _unowned(connection, answer.generation_id)
    billed = BillingState.BILLED if amount else BillingState.FREE
    _move(
        connection,
        call,
        (IntentState.SUBMITTING,),
        now,
        {
            "state": (IntentState.DELIVERED if good else IntentState.FAILED).value,
            "prediction_id": generation_id or (call.intent_id if good else None),
            "reserved_microusd": 0,
            "charged_microusd": amount,
            "billed": (billed if is_known else BillingState.UNKNOWN).value,
            "completed_at": now,
            "delivered_at": now if good else None,
            "lost_at": None if is_known else now,
            "error_class": answer.error_class,
            "error": answer.error[:_LONGEST_ERROR] or None,
            "charge_note": "; ".join(notes) or None,
        },
        {
            "evidence": (Evidence.ANSWER if is_known else Evidence.WORST_CASE).value,
            "answered_model": answer.model[:200] or None,
            "finish_reason": answer.finish_reason[:32] or None,
            "prompt_tokens": answer.prompt_tokens,
            "completion_tokens": answer.completion_tokens,
            "cost_usd": None if answer.cost is None else str(answer.cost),
            "response_text": answer.text,
        },
    )
    covered = MicroUsd(min(amount, call.reserved))
    postings.charge(connection, call.intent_id, amount, covered, now)
    postings.release(connection, call.intent_id, MicroUsd(call.reserved - covered), now)


def _prove(
    connection: Connection,
    call: LlmCall,
    at_most: Decimal,
    evidence: Evidence,
    witness: str,
    now: datetime,
) -> None:
    """Lower a charge to what is proved; nothing happens where that is not less."""
    amount = micro_usd_ceiling(at_most)
    if not call.is_unproved or (amount >= call.charged and evidence is Evidence.KEY_USAGE):
        return
    is_free = amount == 0 and call.state is IntentState.FAILED
    before, after = format_usd(call.charged), format_usd(amount)
    note = f"{before} corrected to {after} on {now:%Y-%m-%d %H:%M} UTC by {witness}"
    changes: dict[str, Any] = {
        "charged_microusd": amount,
        "billed": (BillingState.BILLED if amount else BillingState.FREE).value,
        "charge_note": "; ".join(filter(None, (call.note, note)))[:_LONGEST_NOTE],
    }
    if is_free and call.error_class == UNPROVED and evidence is Evidence.KEY_USAGE:
        changes["error_class"] = NEVER_MADE
    known = {"cost_usd": str(at_most)} if evidence is Evidence.ANSWER else {}
    _move(
        connection,
        call,
        (call.state,),
        now,
        changes,
        {"evidence": evidence.value, **known},
    )
    difference = MicroUsd(amount - call.charged)
    postings.charge(connection, call.intent_id, difference, MicroUsd(0), now)


def _known_costs(connection: Connection, call: LlmCall, counted_before: datetime) -> Decimal:
    """Return what other calls of the key certainly cost that were sent after its usage was read."""
    rows = connection.execute(
        select(llm_calls.c.cost_usd)
        .select_from(intents.join(llm_calls))
        .where(
            intents.c.account == call.account,
            intents.c.intent_id != call.intent_id,
            intents.c.submitted_at > call.key_usage_at,
            intents.c.completed_at < counted_before,
            llm_calls.c.cost_usd.is_not(None),
        )
    ).scalars()
    total = sum((Decimal(str(cost)) for cost in rows), Decimal(0))
    return total.quantize(Decimal("1e-9"), rounding=ROUND_FLOOR)


def _end_of_dead(connection: Connection, now: datetime) -> int:
    """End what dead processes left: what was not sent is free, what perhaps was is charged."""
    rows = connection.execute(_CALLS.where(intents.c.state.in_(_OPEN))).mappings().all()
    ended = 0
    for call in map(_call_from, rows):
        if workers.is_alive(connection, call.worker_id, now):
            continue
        if call.state is IntentState.RESERVED:
            _refuse(connection, call, "cancelled", "not sent", now)
        else:
            _lose(connection, call, "its process ended before an answer was recorded", now)
        ended += 1
    return ended


def _unowned(connection: Connection, generation_id: str) -> str | None:
    """Return an id that no intent has yet: two answers under one id are two calls all the same."""
    if not generation_id:
        return None
    query = select(intents.c.intent_id).where(intents.c.prediction_id == generation_id)
    return None if connection.execute(query).first() is not None else generation_id


def _newest_good(connection: Connection, call_hash: str) -> LlmCall | None:
    rows = connection.execute(
        _CALLS.where(
            intents.c.generation_hash == call_hash,
            intents.c.state == IntentState.DELIVERED.value,
        )
        .order_by(intents.c.attempt.desc())
        .limit(1)
    )
    row = rows.mappings().one_or_none()
    return None if row is None else _call_from(row)


def _attempts(connection: Connection, call_hash: str) -> list[RowMapping]:
    rows = connection.execute(
        select(intents)
        .where(intents.c.generation_hash == call_hash)
        .order_by(intents.c.attempt.desc())
    )
    return list(rows.mappings())


def _get(connection: Connection, intent_id: str) -> LlmCall:
    rows = connection.execute(_CALLS.where(intents.c.intent_id == intent_id))
    return _call_from(rows.mappings().one())


def _move(
    connection: Connection,
    call: LlmCall,
    expected: tuple[IntentState, ...],
    now: datetime,
    changes: Mapping[str, Any],
    details: Mapping[str, Any] | None = None,
) -> None:
    """Change a call that is as it was read.

    Raises:
        CallMovedError: Somebody else moved it.
    """
    moved = connection.execute(
        update(intents)
        .where(
            intents.c.intent_id == call.intent_id,
            intents.c.state == call.state.value,
            intents.c.charged_microusd == call.charged,
        )
        .values(updated_at=now, **changes)
    ).rowcount
    if call.state not in expected or not moved:
        raise CallMovedError(call)
    if details:
        connection.execute(
            update(llm_calls).where(llm_calls.c.intent_id == call.intent_id).values(**details)
        )


class CallMovedError(AssetPipelineError):
    """A call was ended by somebody else meanwhile; nothing was changed."""

    def __init__(self, call: LlmCall) -> None:
        super().__init__(
            f"Call {call.intent_id} was {call.state.value} and has moved on meanwhile.",
            hint="Run the command again: it takes up what is there.",
        )


def _call_from(row: RowMapping) -> LlmCall:
    usage = row["key_usage_usd"]
    return LlmCall(
        intent_id=row["intent_id"],
        call_hash=row["generation_hash"],
        operation=row["operation"],
        subject=row["subject"],
        subject_sha256=row["subject_sha256"],
        collection=row["collection"],
        model=row["model"],
        run_id=row["run_id"],
        worker_id=row["worker_id"],
        state=IntentState(row["state"]),
        evidence=Evidence(row["evidence"]),
        generation_id=row["prediction_id"],
        worst_case=MicroUsd(row["worst_case_microusd"]),
        reserved=MicroUsd(row["reserved_microusd"]),
        charged=MicroUsd(row["charged_microusd"]),
        account=row["account"],
        error_class=row["error_class"],
        error=row["error"],
        note=row["charge_note"],
        key_usage=None if usage is None else Decimal(usage),
        key_usage_at=row["key_usage_at"],
        lost_at=row["lost_at"],
        created_at=row["created_at"],
        text=row["response_text"],
    )


_CALLS = select(
    intents,
    llm_calls.c.operation,
    llm_calls.c.subject,
    llm_calls.c.subject_sha256,
    llm_calls.c.evidence,
    llm_calls.c.worst_case_microusd,
    llm_calls.c.key_usage_usd,
    llm_calls.c.key_usage_at,
    llm_calls.c.response_text,
).join_from(intents, llm_calls)
