"""The ledger: every method is one durable transaction of the paid call."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Engine

from asset_pipeline.clock import Clock
from asset_pipeline.ledger import (
    budget_tickets,
    clips,
    intents,
    manual_resolution,
    metric_sums,
    postings,
    substitutes,
    wants,
    workers,
)
from asset_pipeline.ledger.budgets import BudgetCaps, BudgetLine, KeyCap, budget_lines
from asset_pipeline.ledger.identity import HeldIdentity
from asset_pipeline.ledger.orders import order_of, standing_order
from asset_pipeline.ledger.postings import BudgetExceededError
from asset_pipeline.ledger.queries import LedgerQueries
from asset_pipeline.ledger.records import (
    Clip,
    Intent,
    NewIntent,
    NotedFile,
    Parent,
    Reuse,
    StoredFile,
)
from asset_pipeline.ledger.schema import BillingState
from asset_pipeline.ledger.transactions import looking_again
from asset_pipeline.measures import MEASURES
from asset_pipeline.money import MicroUsd


@dataclass(frozen=True, slots=True)
class Payer:
    """Who pays: the run, the worker process, and a cap of that run's own if it has one.

    Attributes:
        wanted_order: The run's place in the order of what was wanted; zero if it took none.
        budget_id: The run whose cap it pays under, where that is another than its own.
        launch_id: The launch of submissions that it makes; empty for any other run.
    """

    run_id: str
    worker_id: str
    run_cap: MicroUsd | None = None
    wanted_order: int = 0
    budget_id: str | None = None
    launch_id: str = ""


class Ledger(LedgerQueries):
    """The truth about money, shared by all processes that open the same database.

    Methods block; asynchronous callers run them in a thread.

    Args:
        engine: From :func:`asset_pipeline.ledger.engine.open_engine`.
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
        """Say that the worker is alive, and write what this process counted.

        It is due every :data:`workers.HEARTBEAT_SECONDS`.
        """
        taken = MEASURES.take()
        try:
            with self._writing() as (connection, now):
                workers.beat(connection, worker_id, now)
                metric_sums.add_measures(connection, taken)
        except BaseException:
            MEASURES.give_back(taken)
            raise

    def end_worker(self, worker_id: str) -> None:
        """Record that the worker stopped; its open intents can be adopted at once."""
        self.beat(worker_id)
        with self._writing() as (connection, now):
            workers.end(connection, worker_id, now)

    def reserve(
        self, new: NewIntent, payer: Payer, *, pay_again_before: datetime | None = None
    ) -> Clip | Intent:
        """Set the worst-case price aside and write the intent, in one transaction.

        Args:
            new: What is about to be paid for.
            payer: Who pays.
            pay_again_before: Clips stored before this time don't count.

        Returns:
            The new intent in state reserved; or, when another process was faster, its open
            intent or its clip. Check ``worker_id`` and ``state``, and ``generation_hash``: the
            other may have another way to the same clip.

        Raises:
            BudgetExceededError: A budget has no headroom; nothing was reserved. It says whether
                held money may come back: then the process has a place in the order of those that
                wait, as long as it asks again every few seconds.
            OrderCancelledError: Whoever submitted the prompt wants it no more.
        """
        return looking_again(lambda: self._reserve(new, payer, pay_again_before))

    def _reserve(
        self, new: NewIntent, payer: Payer, pay_again_before: datetime | None
    ) -> Clip | Intent:
        # Before the transaction: a file that was edited is looked up in the ledger.
        caps = self._caps()
        order = None
        try:
            with self._writing() as (connection, now):
                self._identity.check(connection)
                # The newest attempt is read before the clip: of two processes that find neither,
                # the second collides with the first at the insert, whatever became of it.
                attempts = intents.attempts_at(connection, new.generation_hash)
                if attempts:
                    found = intents.first_open(attempts) or clips.find_by_generation(
                        connection, new.generation_hash, pay_again_before
                    )
                    if found is not None:
                        return found
                if payer.launch_id:
                    order = order_of(connection, payer.launch_id, new.kind, new.prompt_id, now)
                else:
                    order = standing_order(connection, new.kind, new.prompt_id)
                new = replace(new, key_id=order.key_id, launch_id=payer.launch_id or None)
                intent = intents.create(
                    connection,
                    new,
                    attempt=attempts[0].attempt + 1 if attempts else 1,
                    run_id=payer.run_id,
                    worker_id=payer.worker_id,
                    now=now,
                    run_budget=payer.budget_id,
                    counts_from=pay_again_before,
                )
                wants.declare(connection, _want_of(new, payer), now)
                lines = _lines(caps, new, payer, now, order.cap)
                tickets = budget_tickets.tickets(connection, now)
                budget_tickets.check_turn(tickets, lines, payer.worker_id, new.worst_case)
                postings.reserve(connection, intent.intent_id, lines, new.worst_case, now)
                if any(ticket.worker_id == payer.worker_id for ticket in tickets):
                    budget_tickets.leave(connection, payer.worker_id)
                substitutes.check_only_way(connection, intent, pay_again_before)
                return intent
        except substitutes.AnotherWayError as error:
            return error.found  # nothing is left of the reservation
        except BudgetExceededError as breach:
            # Nothing of the refused reservation is left, but an edited cap is on record.
            with self._writing() as (connection, now):
                lines = _lines(caps, new, payer, now, None if order is None else order.cap)
                postings.sync_caps(connection, lines, now)
                outlook = budget_tickets.outlook(connection, breach, lines, payer.worker_id, now)
            raise outlook from None

    def adopt(self, intent: Intent, worker_id: str) -> Intent:
        """Take over a dead worker's intent; a POST it had on the wire becomes unknown."""
        with self._writing() as (connection, now):
            return intents.adopt(connection, intent, worker_id=worker_id, now=now)

    def let_go(self, intent: Intent) -> Intent:
        """Give up the ownership of an open intent; any process may adopt it."""
        with self._writing() as (connection, now):
            return intents.let_go(connection, intent, now)

    def start_submitting(self, intent: Intent) -> Intent:
        """Mark that the POST goes out next."""
        with self._writing() as (connection, now):
            return intents.start_submitting(connection, intent, now)

    def accept(self, intent: Intent, prediction_id: str) -> Intent:
        """Store the prediction id that the provider answered with, or that was found."""
        with self._writing() as (connection, now):
            return intents.accept(connection, intent, prediction_id, now)

    def lose_reply(self, intent: Intent, error: str) -> Intent:
        """Mark that the POST got no clear answer."""
        with self._writing() as (connection, now):
            return intents.lose_reply(connection, intent, error, now)

    def note_absence(self, intent: Intent) -> Intent:
        """Count one complete listing without the prediction."""
        with self._writing() as (connection, now):
            return intents.note_absence(connection, intent, now)

    def ask(self, intent: Intent, question: str) -> Intent:
        """Leave an intent that can't be proved either way to a person."""
        with self._writing() as (connection, now):
            return intents.ask(connection, intent, question, now)

    def refuse(self, intent: Intent, error_class: str, error: str) -> None:
        """End an intent that was certainly not accepted; all its money is given back."""
        with self._writing() as (connection, now):
            intents.refuse(connection, intent, error_class, error, now)

    def charge(
        self,
        intent: Intent,
        amount: MicroUsd,
        *,
        billed: BillingState,
        predict_seconds: float | None,
        note: str | None = None,
    ) -> Intent:
        """Write what a prediction that ended cost, and why it is not what the provider says."""
        with self._writing() as (connection, now):
            return intents.charge(
                connection,
                intent,
                amount=amount,
                billed=billed,
                predict_seconds=predict_seconds,
                note=note,
                now=now,
            )

    def note_file(self, intent: Intent, noted: NotedFile) -> Intent:
        """Note the verified file of a charged intent before it is put into the store."""
        with self._writing() as (connection, now):
            return intents.note_file(connection, intent, noted, now)

    def fail(self, intent: Intent, error_class: str, error: str) -> None:
        """End a charged intent that brings no clip; the rest of its reservation is given back."""
        with self._writing() as (connection, now):
            intents.fail(connection, intent, error_class, error, now)

    def deliver(self, intent: Intent, stored: StoredFile, parents: Iterable[Parent]) -> Clip:
        """Record the stored clip and its lineage; the rest of the reservation is given back."""
        made_from = tuple(parents)

        def deliver() -> Clip:
            with self._writing() as (connection, now):
                cost = intent.charged_microusd
                clip = clips.record(connection, intent, stored, cost, made_from, now)
                intents.deliver(connection, intent, now)
                return clip

        return looking_again(deliver)

    def take_order(self) -> int:
        """Return a run's place in the order of what is wanted; due before it reads the prompts."""
        with self._writing() as (connection, _):
            return wants.take_order(connection)

    def want(self, want: wants.Want) -> None:
        """Write what is wanted of a place, unless something newer is wanted there."""
        with self._writing() as (connection, now):
            wants.declare(connection, want, now)

    def revive(self, intent: Intent, prediction_id: str) -> Intent:
        """Take back an intent that was given up as never accepted: its prediction turned up."""
        with self._writing() as (connection, now):
            return intents.revive(connection, intent, prediction_id, now)

    def reuse(self, clip: Clip, use: Reuse) -> Clip:
        """Make a stored clip the current one of a prompt's variant, at no cost.

        See :func:`asset_pipeline.ledger.clips.reuse`.
        """

        def reuse() -> Clip:
            with self._writing() as (connection, now):
                metric_sums.count_cache_hit(connection, use.kind.value, clip.model)
                return clips.reuse(connection, clip, use, now)

        return looking_again(reuse)

    def add_lineage(
        self, child_uri: str, child_sha256: str, parents: Iterable[Parent], *, run_id: str
    ) -> None:
        """Write what a file that no payment delivered was made from."""
        with self._writing() as (connection, now):
            clips.add_lineage(connection, child_uri, child_sha256, parents, run_id=run_id, now=now)

    def warn_at(self) -> tuple[int, ...]:
        """Return the warning thresholds of caps, in percent."""
        return self._caps().warn_at_percent

    def charge_by_hand(self, intent: Intent, amount: MicroUsd) -> None:
        """End an undecided intent as paid for, because a person says so."""
        with self._writing() as (connection, now):
            manual_resolution.charge_by_hand(connection, intent, amount, now)

    def release_by_hand(self, intent: Intent) -> None:
        """End an undecided intent as never accepted, because a person says so."""
        with self._writing() as (connection, now):
            manual_resolution.release_by_hand(connection, intent, now)

    def correct(self, intent: Intent, amount: MicroUsd, because: str) -> Intent:
        """Set what an ended intent was charged, as an entry of the difference.

        Args:
            intent: As it was read.
            amount: What is owed in truth.
            because: Who says so, and why.

        Raises:
            LedgerError: There is nothing to correct.
        """
        with self._writing() as (connection, now):
            return manual_resolution.correct(connection, intent, amount, because, now)

    def record_orphan(self, orphan: manual_resolution.Orphan) -> bool:
        """Write spending that no intent asked for; return whether it was new.

        It counts in the periods in which the provider made it, and under no run.
        """
        lines = [
            line
            for line in budget_lines(
                self._caps(),
                collection=manual_resolution.ORPHAN,
                run_id=manual_resolution.ORPHAN,
                now=orphan.created_at,
            )
            if line.period != "run"
        ]

        def record() -> bool:
            with self._writing() as (connection, now):
                return manual_resolution.record_orphan(connection, orphan, lines, now)

        return looking_again(record)


def _want_of(new: NewIntent, payer: Payer) -> wants.Want:
    return wants.Want(
        new.kind,
        new.prompt_id,
        new.variant,
        new.variants,
        new.wanted_hash or new.generation_hash,
        payer.wanted_order,
    )


def _lines(
    caps: BudgetCaps, new: NewIntent, payer: Payer, now: datetime, key_cap: KeyCap | None
) -> tuple[BudgetLine, ...]:
    return budget_lines(
        caps,
        collection=new.collection,
        run_id=payer.budget_id or payer.run_id,
        now=now,
        run_cap=payer.run_cap,
        key_cap=key_cap,
    )
