"""Many processes at one ledger: one pays, no cap is passed, nobody breaks."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr
from sqlalchemy import Connection, event, select, text, update

from asset_pipeline.ledger.intents import IntentMovedError
from asset_pipeline.ledger.postings import BudgetExceededError
from asset_pipeline.ledger.records import Clip, Intent
from asset_pipeline.ledger.schema import IntentState, budgets, intents
from asset_pipeline_tests.conftest import NewLedger
from asset_pipeline_tests.support.ledger_invariants import violations
from asset_pipeline_tests.support.ledgers import (
    PRICE,
    Books,
    dollars,
    generation_hash,
    new_intent,
    stored_file,
)

pytestmark = pytest.mark.servers

FORK = multiprocessing.get_context("fork")


def race(
    racer: Callable[..., object],
    url: SecretStr,
    count: int,
    *args: object,
    meanwhile: threading.Thread | None = None,
) -> list[object]:
    """Run ``racer(books, number, *args)`` in processes that start together; return the results.

    ``meanwhile`` is started once all are forked: a child forked while another thread is inside
    SQLite inherits its locks held, and never opens a database.
    """
    start, results = FORK.Barrier(count), FORK.Queue()

    def run(number: int) -> None:
        outcome: object = None
        try:
            books = Books(url)
            start.wait(60)
            outcome = racer(books, number, *args)
        except BaseException as error:  # noqa: BLE001 -- told to the test, which fails on it
            outcome = error
        results.put(outcome)

    processes = [FORK.Process(target=run, args=(number,)) for number in range(count)]
    for process in processes:
        process.start()
    if meanwhile is not None:
        meanwhile.start()
    outcomes = [results.get(timeout=120) for _ in processes]
    for process in processes:
        process.join(10)
    errors = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert not errors, errors
    return outcomes


def _reserve_all(books: Books, number: int, rounds: int) -> int:
    """Reserve the same generations as everybody else; count those that are ours."""
    del number
    mine = 0
    for turn in range(rounds):
        found = books.ledger.reserve(new_intent(f"g{turn}"), books.payer)
        assert isinstance(found, Intent)
        mine += found.worker_id == books.payer.worker_id
    return mine


def test_two_processes_on_one_generation_make_one_intent(new_ledger: NewLedger) -> None:
    """Eighty times over: each generation has exactly one intent, and both processes see it."""
    url = new_ledger()
    won = race(_reserve_all, url, 2, 80)
    books = Books(url)
    made = books.ledger.intents_in([IntentState.RESERVED])
    assert len(made) == 80
    assert {intent.attempt for intent in made} == {1}
    assert sum(count for count in won if isinstance(count, int)) == 80
    assert books.balance()[2] == 80 * PRICE
    assert violations(books.ledger.engine) == []
    books.close()


def _reserve_and_refuse(books: Books, number: int, rounds: int) -> int:
    """Reserve one and the same generation, and give it back when it is ours."""
    del number
    refused = 0
    for _ in range(rounds):
        found = books.ledger.reserve(new_intent("one"), books.payer)
        assert isinstance(found, Intent)
        if found.worker_id == books.payer.worker_id:
            books.ledger.refuse(found, "rate_limit", "throttled")
            refused += 1
    return refused


def test_short_lived_intents_never_collide_in_the_open(new_ledger: NewLedger) -> None:
    """Four processes reserve and refuse one generation as fast as they can: nobody breaks."""
    url = new_ledger()
    refused = race(_reserve_and_refuse, url, 4, 40)
    books = Books(url)
    attempts = sorted(i.attempt for i in books.ledger.intents_in([IntentState.REFUSED]))
    assert attempts == list(range(1, len(attempts) + 1))
    assert len(attempts) == sum(count for count in refused if isinstance(count, int))
    assert books.balance()[1:] == (0, 0)
    assert violations(books.ledger.engine) == []
    books.close()


def _spend(books: Books, number: int, cap: int) -> int:
    """Pay for one clip after the other until there is no headroom; return what was charged."""
    books.caps["total_usd"] = dollars(cap)
    books.caps["collections_usd"] = {"kit": dollars(2 * cap)}
    spent = turn = 0
    for _ in range(5000):
        try:
            intent = books.submitted(f"{number}-{turn}")
        except BudgetExceededError as breach:
            if breach.coming_back is None:
                return spent
            time.sleep(0.02)  # what the others hold may come back
            continue
        # Of three, one is free, one costs what it may, one costs a third of it.
        amount = (0, PRICE, PRICE // 3)[turn % 3]
        intent = books.charge(intent, amount)
        if amount:
            books.ledger.deliver(intent, stored_file(intent.intent_id), [])
        else:
            books.ledger.fail(intent, "server_error", "interrupted")
        spent += amount
        turn += 1
    raise AssertionError("the cap never held")


def test_eight_processes_never_pass_a_cap_and_use_it_up(new_ledger: NewLedger) -> None:
    """At every look the budget is within its cap; in the end not one more would have fitted."""
    url = new_ledger()
    cap = 40 * PRICE
    done, seen = threading.Event(), []

    def watch() -> None:
        watching = Books(url)
        query = select(budgets.c.charged_microusd + budgets.c.reserved_microusd)
        while not done.is_set():
            with watching.ledger.engine.connect().execution_options(reading=True) as connection:
                seen.extend(connection.execute(query.where(budgets.c.budget == "total")).scalars())
            time.sleep(0.005)
        watching.close()

    watcher = threading.Thread(target=watch)
    try:
        spent = race(_spend, url, 8, cap, meanwhile=watcher)
    finally:
        done.set()
        watcher.join()
    books = Books(url)
    charged = sum(amount for amount in spent if isinstance(amount, int))
    assert seen
    assert max(seen) <= cap
    assert books.balance() == (cap, charged, 0)
    assert cap - PRICE < charged <= cap
    assert violations(books.ledger.engine) == []
    books.close()


def _together(*steps: Callable[[], object]) -> list[object]:
    """Run steps in threads that start together; return results and errors."""
    start = threading.Barrier(len(steps))
    outcomes: list[object] = [None] * len(steps)

    def run(number: int) -> None:
        start.wait(10)
        try:
            outcomes[number] = steps[number]()
        except BaseException as error:  # noqa: BLE001 -- told to the test
            outcomes[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(steps))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return outcomes


def test_two_deliveries_for_one_variant_both_land(new_ledger: NewLedger) -> None:
    """An old run and a new one deliver at once: both clips are kept, one of them is current."""
    url = new_ledger()
    one, two = Books(url), Books(url)
    for turn in range(10):
        first = one.completed(f"old-{turn}", prompt_id="cover")
        second = two.completed(f"new-{turn}", prompt_id="cover")
        outcomes = _together(
            lambda first=first: one.ledger.deliver(first, stored_file(first.intent_id), []),
            lambda second=second: two.ledger.deliver(second, stored_file(second.intent_id), []),
        )
        assert all(isinstance(outcome, Clip) for outcome in outcomes), outcomes
    assert violations(one.ledger.engine) == []
    one.close()
    two.close()


def test_one_of_two_takers_moves_an_intent(new_ledger: NewLedger) -> None:
    """Two processes adopt a dead worker's intent at once: one has it, the other looks again."""
    url = new_ledger()
    one, two = Books(url), Books(url)
    for turn in range(20):
        intent = one.submitted(f"g{turn}")
        outcomes = _together(
            lambda intent=intent: one.ledger.adopt(intent, "worker-1"),
            lambda intent=intent: two.ledger.adopt(intent, "worker-2"),
        )
        kinds = Counter(type(outcome) for outcome in outcomes)
        assert kinds == {Intent: 1, IntentMovedError: 1}, outcomes
    one.close()
    two.close()


def test_charging_and_adopting_do_not_lock_crosswise(new_postgres: NewLedger) -> None:
    """One holds the intent and wants its budgets, the other came for both: it waits its turn."""
    url = new_postgres()
    books, other = Books(url), Books(url)
    intent = books.submitted()
    with books.ledger.engine.begin() as connection:
        connection.execute(
            update(intents).where(intents.c.intent_id == intent.intent_id).values(worker_id="w2")
        )
        outcomes: list[object] = []
        charging = threading.Thread(
            target=lambda: outcomes.extend(_together(_charge(other, intent)))
        )
        charging.start()
        _wait_until_blocked(connection)
        connection.execute(update(budgets).values(created_at=datetime.now(UTC)))
    charging.join(10)
    assert [type(outcome) for outcome in outcomes] == [IntentMovedError]
    books.close()
    other.close()


def test_an_acceptance_between_two_questions_miscounts_nobody(new_ledger: NewLedger) -> None:
    """Never both a rival that waits and a prediction that is already its own."""
    url = new_ledger()
    books, other = Books(url), Books(url)
    lost = books.ledger.lose_reply(books.ledger.start_submitting(books.reserve()), "timeout")
    asked: list[str] = []

    def accept_meanwhile(*args: object) -> None:
        asked.append(str(args[2]))
        if len(asked) == 1:
            other.ledger.accept(lost, "p1")

    event.listen(books.ledger.engine, "after_cursor_execute", accept_meanwhile)
    waiting, owned = books.ledger.reconciliation_view(["p1"])
    assert len(asked) >= 2
    assert not (waiting and owned)
    books.close()
    other.close()


def _charge(books: Books, intent: Intent) -> Callable[[], object]:
    return lambda: books.charge(intent, PRICE)


def _wait_until_blocked(connection: Connection) -> None:
    query = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    until = time.monotonic() + 10
    while connection.execute(query).scalar_one() == 0:
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.parametrize("signal_before_commit", [False, True])
def test_a_killed_process_leaves_whole_transactions(
    new_ledger: NewLedger, *, signal_before_commit: bool
) -> None:
    """SIGKILL inside a reservation: it is there with all its entries, or not at all."""
    url = new_ledger()

    def reserve_and_die() -> None:
        books = Books(url)

        def die(*_: object) -> None:
            os.kill(os.getpid(), 9)

        if signal_before_commit:
            event.listen(books.ledger.engine, "commit", die)
        books.reserve()
        die()

    process = FORK.Process(target=reserve_and_die)
    process.start()
    process.join(30)
    assert process.exitcode == -9
    books = Books(url)
    assert violations(books.ledger.engine) == []
    found = books.ledger.find(generation_hash("a"))
    if signal_before_commit:
        assert found is None
    else:
        assert isinstance(found, Intent)
        assert not books.ledger.is_alive(found.worker_id)
        assert books.ledger.adopt(found, books.payer.worker_id).state is IntentState.RESERVED
    books.close()
