"""Group commit: steps share a sync to the disk, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from sqlalchemy import Engine, event

from asset_pipeline.ledger import engine as engine_module
from asset_pipeline.ledger.engine import LedgerError
from asset_pipeline.ledger.group_commit import GroupCommit
from asset_pipeline.ledger.intents import IntentMovedError
from asset_pipeline.ledger.postings import BudgetExceededError
from asset_pipeline.ledger.records import Intent
from asset_pipeline.ledger.transactions import transaction
from asset_pipeline_tests.conftest import NewLedger
from asset_pipeline_tests.support.ledger_invariants import violations
from asset_pipeline_tests.support.ledgers import (
    PRICE,
    Books,
    database_file,
    dollars,
    locked,
    new_intent,
    place_new_ledger,
)

Step = Callable[[], Any]


@contextlib.asynccontextmanager
async def held(writing: GroupCommit) -> AsyncGenerator[None]:
    """Keep the thread busy, so that what is asked for within the block becomes one group."""
    busy, free = threading.Event(), threading.Event()

    def hold() -> None:
        busy.set()
        free.wait(60)

    holding = asyncio.ensure_future(writing.run(hold))
    await asyncio.to_thread(busy.wait, 60)
    yield
    free.set()
    await holding


async def asked(writing: GroupCommit, steps: Sequence[Step]) -> list[asyncio.Task[Any]]:
    """Ask for steps, in their order, without waiting for them."""
    tasks = [asyncio.create_task(writing.run(step)) for step in steps]
    await asyncio.sleep(0)
    return tasks


async def together(writing: GroupCommit, steps: Sequence[Step]) -> list[Any]:
    """Run steps as one group; return their results and errors."""
    async with held(writing):
        tasks = await asked(writing, steps)
    return await asyncio.gather(*tasks, return_exceptions=True)


def run(books: Books, work: Callable[[GroupCommit], Coroutine[Any, Any, Any]]) -> Any:  # noqa: ANN401
    """Run work with the books' writer."""

    async def main() -> object:
        with GroupCommit(books.ledger.engine) as writing:
            return await work(writing)

    return asyncio.run(main())


def reserving(books: Books, names: Sequence[str]) -> list[Step]:
    """Steps that reserve, one a generation."""

    def step(name: str) -> Step:
        return lambda: books.ledger.reserve(new_intent(name), books.payer)

    return [step(name) for name in names]


def commits_of(books: Books, steps: Sequence[Step]) -> tuple[list[Any], int]:
    """Run steps together; return their results and how often something was committed."""
    committed: list[object] = []
    event.listen(books.ledger.engine, "commit", committed.append)
    results = run(books, lambda writing: together(writing, steps))
    return results, len(committed)


def fill_up(engine: Engine) -> None:
    """Leave a ledger room for some small rows and no more."""

    def limit(connection: sqlite3.Connection, _record: object) -> None:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages + 8}")

    engine.dispose()
    event.listen(engine, "connect", limit)


def test_steps_that_wait_share_one_commit(new_sqlite: NewLedger) -> None:
    """Twenty reservations that wait for the thread are one transaction, in the order of coming."""
    books = Books(new_sqlite())
    results, commits = commits_of(books, reserving(books, [f"g{n}" for n in range(20)]))
    assert [found.prompt_id for found in results] == [f"prompt-g{n}" for n in range(20)]
    assert commits == 1
    assert books.balance()[2] == 20 * PRICE
    assert violations(books.ledger.engine) == []
    books.close()


def test_on_postgres_each_step_is_its_own(new_postgres: NewLedger) -> None:
    """A transaction over several steps would hold the rows of one against another process."""
    books = Books(new_postgres())
    results, commits = commits_of(books, reserving(books, ["a", "b", "c"]))
    assert all(isinstance(found, Intent) for found in results)
    assert commits == 3
    books.close()


def test_a_step_that_fails_takes_nothing_of_the_others(new_sqlite: NewLedger) -> None:
    """A cap for three of five refuses two, and a step twice done is refused the second time."""
    books = Books(new_sqlite(), total_usd=dollars(3 * PRICE))
    first = books.reserve("first")
    steps = [
        *reserving(books, ["a", "b"]),
        lambda: books.ledger.start_submitting(first),
        lambda: books.ledger.start_submitting(first),
        *reserving(books, ["c", "d"]),
    ]
    a, b, sent, again, c, d = run(books, lambda writing: together(writing, steps))
    assert isinstance(a, Intent)
    assert isinstance(b, Intent)
    assert isinstance(sent, Intent)
    assert isinstance(again, IntentMovedError)
    assert isinstance(c, BudgetExceededError)
    assert isinstance(d, BudgetExceededError)
    assert books.balance() == (3 * PRICE, 0, 3 * PRICE)
    assert violations(books.ledger.engine) == []
    books.close()


def test_nobody_is_told_before_all_is_on_the_disk(new_sqlite: NewLedger) -> None:
    """A create must not go out while the mark of it could still be lost."""
    url = new_sqlite()
    books = Books(url)
    told: list[str] = []
    told_at_commit: list[int] = []
    seen_from_outside: list[int] = []
    event.listen(books.ledger.engine, "commit", lambda _: told_at_commit.append(len(told)))

    async def work(writing: GroupCommit) -> None:
        async def tell(step: Step) -> None:
            told.append((await writing.run(step)).intent_id)
            seen_from_outside.append(_rows(url))

        await asyncio.gather(*(tell(step) for step in reserving(books, list("abcdefgh"))))

    run(books, work)
    assert told_at_commit[0] == 0
    assert len(told_at_commit) < 8  # some were in one group
    assert all(seen >= count for count, seen in enumerate(seen_from_outside, start=1))
    books.close()


def test_a_full_disk_fails_one_step_and_not_its_group(new_sqlite: NewLedger) -> None:
    """What finds no room is refused; the small steps that were in one group with it are done."""
    books = Books(new_sqlite())
    engine = books.ledger.engine
    books.reserve("before")
    fill_up(engine)
    huge = new_intent("huge", prompt_text="x" * 400_000)
    steps = [
        *reserving(books, ["a"]),
        lambda: books.ledger.reserve(huge, books.payer),
        *reserving(books, ["b"]),
    ]
    a, refused, b = run(books, lambda writing: together(writing, steps))
    assert isinstance(a, Intent)
    assert isinstance(refused, LedgerError)
    assert isinstance(b, Intent)
    assert books.balance()[2] == 3 * PRICE
    assert violations(engine) == []
    books.close()


def test_what_comes_after_a_full_disk_is_done_once(new_sqlite: NewLedger) -> None:
    """SQLite ends its transaction at a full disk; no step behind it is written twice for that."""
    books = Books(new_sqlite())
    engine = books.ledger.engine
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE notes (name TEXT)")
    fill_up(engine)

    def noting(name: str) -> Step:
        def note() -> None:
            with transaction(engine) as connection:
                connection.exec_driver_sql("INSERT INTO notes VALUES (?)", (name,))

        return note

    steps = [noting(name) for name in ("a", "x" * 400_000, "b", "c")]
    ends = run(books, lambda writing: together(writing, steps))
    assert [type(end) for end in ends] == [type(None), LedgerError, type(None), type(None)]
    with engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT name FROM notes ORDER BY name").scalars().all()
    assert rows == ["a", "b", "c"]
    books.close()


def test_a_session_that_is_over_writes_no_more(new_sqlite: NewLedger) -> None:
    """Who comes too late hears of it, and does not wait for a thread that has ended."""
    books = Books(new_sqlite())

    async def late() -> None:
        with GroupCommit(books.ledger.engine) as writing:
            pass
        with pytest.raises(RuntimeError, match="session"):
            await writing.run(lambda: None)

    asyncio.run(late())
    books.close()


def test_a_ledger_that_stays_busy_fails_all_and_writes_nothing(
    new_sqlite: NewLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of a group hears that the ledger can't be used."""
    monkeypatch.setattr(engine_module, "_BUSY_SECONDS", 0)
    url = new_sqlite()
    books = Books(url)
    with locked(url):
        results = run(books, lambda writing: together(writing, reserving(books, ["a", "b"])))
    assert [type(result) for result in results] == [LedgerError, LedgerError]
    assert books.ledger.balances() == []
    books.close()


def test_who_stops_waiting_in_time_leaves_nothing_behind(new_sqlite: NewLedger) -> None:
    """A step whose waiter was cancelled before its turn is never run; the others are."""
    books = Books(new_sqlite())

    async def work(writing: GroupCommit) -> None:
        async with held(writing):
            one, other = await asked(writing, reserving(books, ["a", "b"]))
            one.cancel()
        await other
        assert one.cancelled()

    run(books, work)
    assert books.balance()[2] == PRICE
    books.close()


class Surprise(BaseException):
    """What no handler of ordinary errors catches."""


def test_no_surprise_ends_the_thread(new_sqlite: NewLedger) -> None:
    """Whatever a step raises is its waiter's; those behind it are served."""
    books = Books(new_sqlite())

    def surprise() -> None:
        raise Surprise

    steps = [*reserving(books, ["a"]), surprise, *reserving(books, ["b"])]
    ends = run(books, lambda writing: together(writing, steps))
    assert [type(end) for end in ends] == [Intent, Surprise, Intent]
    assert books.balance()[2] == 2 * PRICE
    books.close()


_MOVES = st.tuples(
    st.sampled_from(["reserve", "submit", "accept", "charge"]), st.sampled_from("abcd")
)


@pytest.mark.searches
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    rounds=st.lists(st.lists(st.tuples(_MOVES, st.sampled_from("abcd")), max_size=8), max_size=6)
)
def test_a_group_does_what_its_steps_do_one_by_one(
    tmp_path_factory: pytest.TempPathFactory, rounds: list[list[tuple[str, str]]]
) -> None:
    """Any steps, sensible or not, end alike and leave the same balances."""
    folder = tmp_path_factory.mktemp("grouping")
    alone, grouped = (_new_books(folder / name) for name in ("alone.db", "grouped.db"))
    known: tuple[dict[str, Intent], dict[str, Intent]] = ({}, {})
    for moves in rounds:
        steps = [
            [_step(books, of, *move) for move in moves]
            for books, of in zip((alone, grouped), known, strict=True)
        ]
        one_by_one = [_outcome(step) for step in steps[0]]
        at_once = run(grouped, lambda writing, steps=steps[1]: together(writing, steps))
        assert [type(end) for end in at_once] == [type(end) for end in one_by_one]
        for of, ends in zip(known, (one_by_one, at_once), strict=True):
            of.update({end.prompt_id: end for end in ends if isinstance(end, Intent)})
    assert grouped.ledger.balances() == alone.ledger.balances()
    assert violations(grouped.ledger.engine) == []
    alone.close()
    grouped.close()


def _new_books(file: Path) -> Books:
    place_new_ledger(file)
    return Books(SecretStr(f"sqlite:///{file}"), total_usd=dollars(2 * PRICE + 1))


def _step(books: Books, known: dict[str, Intent], move: str, name: str) -> Step:
    intent = known.get(f"prompt-{name}")
    if move == "reserve" or intent is None:
        return lambda: books.ledger.reserve(new_intent(name), books.payer)
    if move == "submit":
        return lambda: books.ledger.start_submitting(intent)
    if move == "accept":
        return lambda: books.ledger.accept(intent, f"prediction-{name}-{intent.attempt}")
    return lambda: books.charge(intent, PRICE)


def _outcome(step: Step) -> object:
    try:
        return step()
    except Exception as error:  # noqa: BLE001 -- its type is what is compared
        return error


def _rows(url: SecretStr) -> int:
    with sqlite3.connect(database_file(url)) as connection:
        return connection.execute("SELECT count(*) FROM intents").fetchone()[0]
