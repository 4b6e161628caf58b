"""A thousand random lives of a ledger: after every step, all that must hold at every instant."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from pydantic import SecretStr
from sqlalchemy import event, text

from asset_pipeline.ledger import intents
from asset_pipeline.ledger.column_types import metadata
from asset_pipeline.ledger.intents import IntentMovedError
from asset_pipeline.ledger.ledger import Payer
from asset_pipeline.ledger.metric_schema import metric_sums
from asset_pipeline.ledger.postings import BudgetExceededError
from asset_pipeline.ledger.records import Clip, Intent, NotedFile
from asset_pipeline.ledger.schema import OPEN_STATES, IntentState
from asset_pipeline_tests.support.clocks import FakeClock
from asset_pipeline_tests.support.ledger_invariants import violations_in
from asset_pipeline_tests.support.ledgers import PRICE, Books, dollars, new_intent, stored_file

T = TypeVar("T")
State = IntentState

# In all, over both machines. The nightly build may ask for more.
EXAMPLES = int(os.environ.get("LEDGER_MACHINE_EXAMPLES", "1000"))

CAPS = st.sampled_from([0, 1, 2999, 3000, 5000, 9000, 1_000_000])
PRICES = st.sampled_from([3000, 1000, 1, 0])
# Which record a step is taken with, counted from the newest.
WHICH = st.integers(0, 3)

Take = Callable[[Books, Intent], object]

BEFORE_ACCEPTANCE = {State.RESERVED, State.SUBMITTING, State.UNKNOWN, State.QUESTION}
# Each step: the states that it is for, and how it is taken.
STEPS: dict[str, tuple[set[IntentState], Take]] = {
    "submit": ({State.RESERVED}, lambda b, i: b.ledger.start_submitting(i)),
    "accept": (
        {State.SUBMITTING, State.UNKNOWN, State.QUESTION},
        lambda b, i: b.ledger.accept(i, f"p-{i.intent_id}"),
    ),
    "charge": ({State.SUBMITTED}, lambda b, i: b.charge(i, i.reserved_microusd)),
    "deliver": (
        {State.COMPLETED},
        lambda b, i: b.ledger.deliver(i, stored_file(i.intent_id), []),
    ),
    "lose the reply": ({State.SUBMITTING}, lambda b, i: b.ledger.lose_reply(i, "timeout")),
    "note an absence": ({State.UNKNOWN}, lambda b, i: b.ledger.note_absence(i)),
    "ask": (
        {State.SUBMITTING, State.UNKNOWN, State.SUBMITTED},
        lambda b, i: b.ledger.ask(i, "which one?"),
    ),
    "note a file": (
        {State.COMPLETED},
        lambda b, i: b.ledger.note_file(i, NotedFile(stored_file(i.intent_id))),
    ),
    "charge nothing": ({State.SUBMITTED}, lambda b, i: b.charge(i, 0)),
    "charge less": ({State.SUBMITTED}, lambda b, i: b.charge(i, i.reserved_microusd // 2)),
    "charge more": ({State.SUBMITTED}, lambda b, i: b.charge(i, i.reserved_microusd * 2)),
    "fail": ({State.COMPLETED}, lambda b, i: b.ledger.fail(i, "bad_output", "blank")),
    "refuse": (BEFORE_ACCEPTANCE, lambda b, i: b.ledger.refuse(i, "network", "no")),
    "correct": (
        {State.DELIVERED, State.FAILED},
        lambda b, i: b.correct(i, (i.charged_microusd + 1000) % 5000),
    ),
    "adopt": (set(OPEN_STATES), lambda b, i: b.ledger.adopt(i, b.payer.worker_id)),
}
ONWARD = ("submit", "accept", "charge", "deliver")
TROUBLE = tuple(step for step in STEPS if step not in ONWARD)

PASTS = (
    (),
    ("submit",),
    ("submit", "lose the reply"),
    ("submit", "lose the reply", "ask"),
    ("submit", "accept"),
    ("submit", "accept", "charge"),
    ("submit", "accept", "charge less"),
    ("submit", "accept", "charge", "deliver"),
)

KILLED = object()


class KilledError(Exception):
    """The process died just before its commit."""


class LedgerMachine(RuleBasedStateMachine):
    """Workers, a provider and a person do whatever they like with one ledger.

    Records are kept as workers remember them, so many are outdated: the ledger has to notice.
    """

    books: Books  # one for all examples: opening a database takes longer than an example
    reached: set[str]  # states, over all examples
    totals: tuple[int, ...]  # caps to begin with, in micro-dollars
    must_reach: frozenset[str]

    def __init__(self) -> None:
        super().__init__()
        self.now: FakeClock = self.books.ledger._clock  # type: ignore[assignment]
        self.worker = 0
        self.records: list[Intent] = []
        self.overdrawn: dict[str, int] = {}
        self.may_overdraw = False
        self.kill_is_due = self.committing = False
        event.listen(self.books.ledger.engine, "commit", self._die_if_due)

    def teardown(self) -> None:
        """Let go of the engine that all examples share."""
        event.remove(self.books.ledger.engine, "commit", self._die_if_due)

    @initialize(total=st.integers(0, 4), past=st.sampled_from(PASTS))
    def begin(self, total: int, past: tuple[str, ...]) -> None:
        """A ledger with some cap and, where it fits, an intent that has come some way already."""
        with self.books.ledger.engine.begin() as connection:
            for table in reversed(metadata.sorted_tables):
                connection.execute(table.delete())
            # The triggers have written into it what went.
            connection.execute(metric_sums.delete())
        cap = self.totals[total % len(self.totals)]
        self.books.caps = {"total_usd": dollars(cap), "daily_usd": None}
        self._replace_the_worker()
        if cap >= PRICE:
            self.records.append(self.books.reserve("a"))
            for step in past:
                self._take(step, self.records[-1])

    @rule(
        name=st.sampled_from("abc"),
        price=PRICES,
        forced=st.booleans(),
        prompt=st.sampled_from(["cover", "back"]),
        collection=st.sampled_from(["kit", "other"]),
    )
    def reserve(self, name: str, price: int, prompt: str, collection: str, *, forced: bool) -> None:
        """Plan to pay: an open intent or a clip is found, or money is set aside, or refused."""
        self.may_overdraw = True  # a lowered cap comes into force here
        new = new_intent(name, price=price, prompt_id=prompt, collection=collection)
        since = self.now.now() if forced else None
        open_one = self._open_of(new.generation_hash)
        ledger, payer = self.books.ledger, self.books.payer
        breach = None
        found: object = None
        try:
            found = self._step(lambda: ledger.reserve(new, payer, pay_again_before=since))
        except BudgetExceededError as error:
            breach = error
        if breach is not None:
            assert open_one is None
            assert breach.needed == price
            # Without anybody who waits before it, it is refused for want of room alone.
            coming = breach.coming_back
            assert breach.headroom < price or (coming is not None and coming.again)
        elif isinstance(found, Intent):
            expected = open_one or found
            assert found == expected
            if open_one is None:
                assert (found.state, found.reserved_microusd) == (State.RESERVED, price)
                self.reached.add(State.RESERVED)
            self.records.append(found)
        else:
            assert found is KILLED or isinstance(found, Clip)

    @precondition(lambda self: self.records)
    @rule(which=WHICH, count=st.integers(1, 3))
    def go_onward(self, which: int, count: int) -> None:
        """All goes well for a while: submit, accept, charge, deliver."""
        for _ in range(count):
            intent = self._record(which)
            steps = [step for step in ONWARD if intent.state in STEPS[step][0]]
            if not steps:
                return
            self._take(steps[0], intent)

    @precondition(lambda self: self.records)
    @rule(which=WHICH, choice=st.integers(0, 11))
    def get_into_trouble(self, which: int, choice: int) -> None:
        """Anything else that may happen to an intent in its state."""
        intent = self._record(which)
        steps = [step for step in TROUBLE if intent.state in STEPS[step][0]]
        if steps:
            self._take(steps[choice % len(steps)], intent)

    @precondition(lambda self: self.records)
    @rule(which=st.integers(0, 30), step=st.sampled_from(sorted(STEPS)))
    def try_anything(self, which: int, step: str) -> None:
        """A step that may be wrong, with a record that may be outdated."""
        self._take(step, self._record(which))

    @rule(
        budget=st.sampled_from(
            ["total_usd", "daily_usd", "monthly_usd", "run_usd", "collections_usd"]
        ),
        cap=CAPS | st.none(),
    )
    def change_a_cap(self, budget: str, cap: int | None) -> None:
        """Somebody edits budgets.yaml; it shows at the next reservation."""
        value: object = None if cap is None else dollars(cap)
        if budget == "collections_usd":
            value = {} if cap is None else {("kit", "other")[cap % 2]: value}
        elif budget == "total_usd" and cap is None:
            value = dollars(1_000_000)
        self.books.caps[budget] = value

    @rule(what=st.sampled_from(["a month", "a new worker", "a worker's end", "a kill to come"]))
    def the_world_turns(self, what: str) -> None:
        """Time passes; a worker dies, ends, or will die just before its next step is durable."""
        match what:
            case "a month":
                self.now.advance(31 * 24 * 3600)
            case "a worker's end":
                self._step(lambda: self.books.ledger.end_worker(self.books.payer.worker_id))
                self._replace_the_worker()
            case "a new worker":
                self._replace_the_worker()
            case _:
                self.kill_is_due = True

    @invariant()
    def the_books_balance(self) -> None:
        """Everything that the design says holds at every instant."""
        with self.books.ledger.engine.connect().execution_options(reading=True) as connection:
            assert violations_in(connection) == []
            rows = connection.exec_driver_sql("SELECT budget, overdrawn_microusd FROM budgets")
            overdrawn: dict[str, int] = {row[0]: row[1] for row in rows}
        if not self.may_overdraw:
            for budget, over in overdrawn.items():
                assert over <= self.overdrawn.get(budget, 0), budget
        self.overdrawn = overdrawn
        self.may_overdraw = False

    def _take(self, step: str, intent: Intent) -> None:
        """Take a step: it succeeds exactly when the record is up to date and the state is right."""
        allowed, take = STEPS[step]
        right = intent.state in allowed
        before = self.books.ledger.intent(intent.intent_id)
        up_to_date = (before.state, before.worker_id) == (intent.state, intent.worker_id)
        self.may_overdraw = step in {"charge more", "correct"}
        try:
            moved = self._step(lambda: take(self.books, intent))
        except IntentMovedError:
            assert not (right and up_to_date)
            return
        if moved is KILLED:
            return
        assert right
        assert up_to_date
        after = self.books.ledger.intent(intent.intent_id)
        self.reached.add(after.state)
        if isinstance(moved, Intent):
            # A worker's own older record may lack an absence that it has noted since.
            assert moved == after or intent != before
            self.records.append(moved)

    def _step(self, step: Callable[[], T]) -> T | object:
        self.committing = True
        try:
            return step()
        except KilledError:
            self.kill_is_due = False
        finally:
            self.committing = False
        self._replace_the_worker()
        return KILLED

    def _die_if_due(self, _: object) -> None:
        if self.kill_is_due and self.committing:
            raise KilledError

    def _replace_the_worker(self) -> None:
        self.worker += 1
        worker_id = self.books.ledger.start_worker(f"run-{self.worker}")
        # Each third run is a run of its own to its cap, the others pay under the one before.
        under = None if self.worker % 3 == 0 else f"run-{self.worker // 3 * 3}"
        self.books.payer = Payer(f"run-{self.worker}", worker_id, budget_id=under)

    def _record(self, which: int) -> Intent:
        return self.records[-1 - which % len(self.records)]

    def _open_of(self, generation: str) -> Intent | None:
        with self.books.ledger.engine.connect().execution_options(reading=True) as connection:
            return intents.find_open(connection, generation)


class RoomyMachine(LedgerMachine):
    """Room for most of what is asked, so that intents live long."""

    totals = (9000, 1_000_000)
    must_reach = frozenset(State)


class TightMachine(LedgerMachine):
    """Hardly room for anything, so that caps decide."""

    totals = (1, 2999, 3000, 5000)
    must_reach = frozenset(State) - {State.QUESTION}


@pytest.mark.searches
@pytest.mark.timeout(600)  # a life that breaks is shrunk before it is shown, which takes minutes
@pytest.mark.parametrize("machine", [RoomyMachine, TightMachine])
def test_the_invariants_hold_in_every_life(
    machine: type[LedgerMachine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand lives in memory, with lost replies, adoptions, kills, bills and cap edits."""
    books = Books(SecretStr("sqlite://"), FakeClock())
    with books.ledger.engine.connect() as connection:
        assert connection.execute(text("PRAGMA foreign_keys")).scalar() == 1
    monkeypatch.setattr(LedgerMachine, "books", books, raising=False)
    monkeypatch.setattr(LedgerMachine, "reached", set(), raising=False)
    case = machine.TestCase
    case.settings = settings(max_examples=EXAMPLES // 2, stateful_step_count=15)
    case().runTest()
    # Without this the machine might stand still and call it a success.
    assert LedgerMachine.reached >= machine.must_reach
    books.close()
