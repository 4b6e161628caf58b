"""The ledger: every method is one durable transaction of the paid call."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.clock import Clock
from asset_pipeline.ledger import clips, decisions, intents, movements, stand_ins, workers
from asset_pipeline.ledger.caps import BudgetCaps, BudgetLine, budget_lines
from asset_pipeline.ledger.movements import BudgetExceededError
from asset_pipeline.ledger.questions import Questions
from asset_pipeline.ledger.records import (
    Clip,
    Intent,
    NewIntent,
    Parent,
    StoredFile,
)
from asset_pipeline.ledger.schema import BillingState
from asset_pipeline.ledger.transactions import looking_again
from asset_pipeline.money import MicroUsd


@dataclass(frozen=True, slots=True)
class Payer:
    """Who pays: the run, the worker process, and a cap of that run's own if it has one."""

    run_id: str
    worker_id: str
    run_cap: MicroUsd | None = None


class Ledger(Questions):
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

    def start_worker(self, run_id: str) -> str:
        """Enter this process as a worker and return the worker id."""
        with self._writing() as (connection, now):
            return workers.register(connection, run_id, now)

    def beat(self, worker_id: str) -> None:
        """Say that the worker is alive; due every :data:`workers.HEARTBEAT_SECONDS`."""
        with self._writing() as (connection, now):
            workers.beat(connection, worker_id, now)

    def end_worker(self, worker_id: str) -> None:
        """Say that the worker stopped: what it left open may be adopted at once."""
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
            BudgetExceededError: A budget has no headroom; nothing was reserved.
        """
        return looking_again(lambda: self._reserve(new, payer, pay_again_before))

    def _reserve(
        self, new: NewIntent, payer: Payer, pay_again_before: datetime | None
    ) -> Clip | Intent:
        try:
            with self._writing() as (connection, now):
                # The newest attempt is read before the clip: of two processes that find neither,
                # the second collides with the first at the insert, whatever became of it.
                last = intents.find_last(connection, new.generation_hash)
                if last is not None:
                    if last.is_open:
                        return last
                    found = clips.find_by_generation(
                        connection, new.generation_hash, pay_again_before
                    )
                    if found is not None:
                        return found
                intent = intents.create(
                    connection,
                    new,
                    attempt=1 if last is None else last.attempt + 1,
                    run_id=payer.run_id,
                    worker_id=payer.worker_id,
                    now=now,
                    counts_from=pay_again_before,
                )
                lines = self._lines(new, payer, now)
                movements.reserve(connection, intent.intent_id, lines, new.worst_case, now)
                stand_ins.check_only_way(connection, intent, pay_again_before)
                return intent
        except stand_ins.AnotherWayError as error:
            return error.found  # nothing is left of the reservation
        except BudgetExceededError:
            # Nothing of the refused reservation is left, but an edited cap is on record.
            with self._writing() as (connection, now):
                movements.sync_caps(connection, self._lines(new, payer, now), now)
            raise

    def _lines(self, new: NewIntent, payer: Payer, now: datetime) -> tuple[BudgetLine, ...]:
        return budget_lines(
            self._caps(),
            collection=new.collection,
            run_id=payer.run_id,
            now=now,
            run_cap=payer.run_cap,
        )

    def adopt(self, intent: Intent, worker_id: str) -> Intent:
        """Take over a dead worker's intent; a POST it had on the wire becomes unknown."""
        with self._writing() as (connection, now):
            return intents.adopt(connection, intent, worker_id=worker_id, now=now)

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
    ) -> Intent:
        """Write what a prediction that ended cost."""
        with self._writing() as (connection, now):
            return intents.charge(
                connection,
                intent,
                amount=amount,
                billed=billed,
                predict_seconds=predict_seconds,
                now=now,
            )

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

    def reuse(
        self,
        clip: Clip,
        *,
        kind: Kind,
        prompt_id: str,
        collection: str,
        variant: int,
        run_id: str,
        wanted_hash: str | None = None,
        strategy: str | None = None,
    ) -> Clip:
        """Make a stored clip the current one of a prompt's variant, at no cost.

        With ``wanted_hash`` it only stands in for what was wanted; ``strategy`` says how.
        """

        def reuse() -> Clip:
            with self._writing() as (connection, now):
                return clips.reuse(
                    connection,
                    clip,
                    kind=kind,
                    prompt_id=prompt_id,
                    collection=collection,
                    variant=variant,
                    run_id=run_id,
                    now=now,
                    wanted_hash=wanted_hash,
                    strategy=strategy,
                )

        return looking_again(reuse)

    def add_lineage(
        self, child_uri: str, child_sha256: str, parents: Iterable[Parent], *, run_id: str
    ) -> None:
        """Write what a file that no payment delivered was made from."""
        with self._writing() as (connection, now):
            clips.add_lineage(connection, child_uri, child_sha256, parents, run_id=run_id, now=now)

    def warn_at(self) -> tuple[int, ...]:
        """Return the shares of a cap, in percent, at which people want to hear of it."""
        return self._caps().warn_at_percent

    def charge_by_hand(self, intent: Intent, amount: MicroUsd) -> None:
        """End an undecided intent as paid for, because a person says so."""
        with self._writing() as (connection, now):
            decisions.charge_by_hand(connection, intent, amount, now)

    def release_by_hand(self, intent: Intent) -> None:
        """End an undecided intent as never accepted, because a person says so."""
        with self._writing() as (connection, now):
            decisions.release_by_hand(connection, intent, now)

    def record_orphan(self, orphan: decisions.Orphan) -> bool:
        """Write spending that no intent asked for; return whether it was new.

        It counts in the periods in which the provider made it, and under no run.
        """
        lines = [
            line
            for line in budget_lines(
                self._caps(),
                collection=decisions.ORPHAN,
                run_id=decisions.ORPHAN,
                now=orphan.created_at,
            )
            if line.period != "run"
        ]

        def record() -> bool:
            with self._writing() as (connection, now):
                return decisions.record_orphan(connection, orphan, lines, now)

        return looking_again(record)
