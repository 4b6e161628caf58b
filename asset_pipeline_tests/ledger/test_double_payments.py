"""A clip that was paid for twice is noticed from the ledger alone, and no reason is mistaken."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import text

from asset_pipeline.ledger.custody import CustodyRepository
from asset_pipeline.ledger.ledger import Payer
from asset_pipeline.ledger.records import Intent
from asset_pipeline_tests.conftest import NewLedger
from asset_pipeline_tests.support.clocks import FakeClock
from asset_pipeline_tests.support.ledgers import Books, generation_hash, new_intent, stored_file

_UNFORCED = "UPDATE intents SET counts_from = '1970-01-01 00:00:00.000000'"


@pytest.fixture
def books(new_ledger: NewLedger, clock: FakeClock) -> Iterator[Books]:
    """An empty ledger."""
    books = Books(new_ledger(), clock)
    yield books
    books.close()


def _run(books: Books, statement: str, **values: object) -> None:
    with books.ledger.engine.begin() as connection:
        connection.execute(text(statement), values)


def _pay_by_force(books: Books, clock: FakeClock, name: str = "a", **changes: object) -> Intent:
    """Pay for what is stored once more, as a run with force does."""
    clock.advance(1)
    new = new_intent(name, **changes)
    payer = Payer("run-1", books.payer.worker_id)
    intent = books.ledger.reserve(new, payer, pay_again_before=clock.now())
    assert isinstance(intent, Intent)
    sent = books.ledger.accept(books.ledger.start_submitting(intent), f"p-{intent.intent_id}")
    books.ledger.deliver(books.charge(sent, 3000), stored_file(intent.intent_id), [])
    return intent


def _said(books: Books) -> list[str]:
    return [f"{each.subject}: {each.rule}" for each in books.ledger.audit().mismatches]


def test_what_was_forced_is_no_double_payment(books: Books, clock: FakeClock) -> None:
    """Somebody wanted it so; the same without that wish is named with both payments."""
    books.delivered("a")
    forced = _pay_by_force(books, clock)
    assert _said(books) == []
    _run(books, _UNFORCED)
    (mismatch,) = books.ledger.audit().mismatches
    assert mismatch.subject == "image/prompt-a variant 1"
    assert mismatch.rule == "it is paid for again only for a reason"
    assert mismatch.found == f"intent {forced.intent_id} as well"


def test_a_force_that_pays_twice_is_one(books: Books, clock: FakeClock) -> None:
    """What was delivered since the run began was paid on its behalf."""
    start = clock.now()
    clock.advance(1)
    books.delivered("a")
    _pay_by_force(books, clock)
    _run(books, "UPDATE intents SET counts_from = :start WHERE attempt = 2", start=str(start)[:26])
    assert len(_said(books)) == 1


def test_a_release_that_was_accepted_after_all_is_one(books: Books, clock: FakeClock) -> None:
    """Two attempts turn out to be paid for, though the ledger had called the first one absent."""
    lost = books.ledger.lose_reply(books.ledger.start_submitting(books.reserve("a")), "gone")
    books.ledger.refuse(lost, "network", "never accepted")
    clock.advance(1)
    books.delivered("a")
    assert _said(books) == []
    _run(
        books,
        "UPDATE intents SET state = 'submitted', prediction_id = 'late' WHERE intent_id = :lost",
        lost=lost.intent_id,
    )
    assert _said(books) == ["image/prompt-a variant 1: it is paid for again only for a reason"]


def test_what_failed_before_is_a_reason(books: Books, clock: FakeClock) -> None:
    """A billed failure is followed by another attempt; two paid at the same time are none."""
    books.ledger.fail(books.completed("a", 3000), "bad_output", "blank")
    clock.advance(1)
    books.delivered("a")
    assert _said(books) == []
    late = clock.now() + timedelta(hours=1)
    _run(
        books,
        "UPDATE intents SET completed_at = :late WHERE attempt = 1",
        late=late.strftime("%Y-%m-%d %H:%M:%S.%f"),
    )
    assert len(_said(books)) == 1


def test_what_was_lost_before_is_a_reason(books: Books, clock: FakeClock) -> None:
    """A file that a check found missing is made anew."""
    clip = books.delivered("a")
    clock.advance(1)
    custody = CustodyRepository(books.ledger.engine, clock)
    custody.lose(clip.object_key, actor="fsck", reason="missing")
    clock.advance(1)
    books.delivered("a")
    assert _said(books) == []


def test_a_stand_in_and_what_it_stands_for_are_one_clip(books: Books, clock: FakeClock) -> None:
    """In one collection; another one may want what the first had a stand-in for."""
    wanted = generation_hash("a")
    books.delivered("b", wanted_hash=wanted, strategy="generic_fallback", collection="one")
    _pay_by_force(books, clock, "a", collection="one")
    _run(books, _UNFORCED)
    assert len(_said(books)) == 1
    _run(books, "UPDATE intents SET collection = 'two' WHERE wanted_hash IS NULL")
    assert _said(books) == []


def test_earlier_releases_and_other_accounts_are_left_out(books: Books, clock: FakeClock) -> None:
    """Old rows don't say what was forced; what another account paid is no clip for this one."""
    books.delivered("a")
    _pay_by_force(books, clock)
    _run(books, _UNFORCED)
    assert len(_said(books)) == 1
    _run(books, "UPDATE intents SET account = 'other' WHERE attempt = 1")
    assert _said(books) == []
    _run(books, "UPDATE intents SET account = '', counts_from = NULL")
    assert _said(books) == []
