"""What people decide: once, never against a living process, and every cent of it in the books."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.ledger.engine import LedgerError
from asset_pipeline.ledger.manual_resolution import Orphan
from asset_pipeline.ledger.records import Intent
from asset_pipeline.ledger.schema import BillingState, IntentState
from asset_pipeline.money import MicroUsd
from asset_pipeline_tests.conftest import NewLedger
from asset_pipeline_tests.support.clocks import NOON
from asset_pipeline_tests.support.ledgers import PRICE, Books


@pytest.fixture
def books(new_ledger: NewLedger) -> Iterator[Books]:
    """Books whose every test must leave them whole."""
    books = Books(new_ledger())
    yield books
    assert books.ledger.audit().mismatches == ()
    books.close()


def _question(books: Books) -> Intent:
    intent = books.ledger.start_submitting(books.reserve())
    return books.ledger.ask(books.ledger.lose_reply(intent, "gone"), "who knows?")


def test_a_question_is_charged(books: Books) -> None:
    """The charge is what the person says, the rest of the reservation comes back."""
    intent = _question(books)
    books.ledger.charge_by_hand(intent, MicroUsd(2000))
    ended = books.ledger.intent(intent.intent_id)
    assert (ended.state, ended.charged_microusd, ended.billed) == (
        IntentState.FAILED,
        2000,
        BillingState.BILLED,
    )
    assert books.balance() == (100_000_000, 2000, 0)


def test_a_charge_may_pass_what_was_reserved(books: Books) -> None:
    """What is owed is recorded in full."""
    books.ledger.charge_by_hand(_question(books), MicroUsd(9000))
    assert books.balance() == (100_000_000, 9000, 0)


def test_a_question_is_released(books: Books) -> None:
    """All the money comes back and the generation may be paid for anew."""
    books.ledger.release_by_hand(_question(books))
    assert books.balance() == (100_000_000, 0, 0)
    assert books.reserve().attempt == 2


def test_an_answer_counts_once(books: Books) -> None:
    """Whoever answers second, or read the intent before it moved, changes nothing."""
    intent = _question(books)
    books.ledger.release_by_hand(intent)
    for late in (intent, books.ledger.intent(intent.intent_id)):
        with pytest.raises(LedgerError, match=r"moved on|has ended"):
            books.ledger.charge_by_hand(late, PRICE)
        with pytest.raises(LedgerError, match=r"moved on|has ended"):
            books.ledger.release_by_hand(late)
    assert books.balance() == (100_000_000, 0, 0)


def test_a_living_process_is_not_interfered_with(books: Books) -> None:
    """An unknown intent is its worker's until the worker is gone."""
    intent = books.ledger.start_submitting(books.reserve())
    intent = books.ledger.lose_reply(intent, "gone")
    for decide in (books.ledger.release_by_hand, lambda it: books.ledger.charge_by_hand(it, PRICE)):
        with pytest.raises(LedgerError, match="running process"):
            decide(intent)
    books.ledger.end_worker(books.payer.worker_id)
    books.ledger.charge_by_hand(intent, PRICE)
    assert books.balance() == (100_000_000, PRICE, 0)


def test_a_prediction_that_the_provider_forgot_can_be_ended(books: Books) -> None:
    """An accepted intent is charged by hand, at nothing too; it is not released as never sent."""
    paid, free = books.submitted("a"), books.submitted("b")
    books.ledger.end_worker(books.payer.worker_id)
    with pytest.raises(LedgerError, match="--usd 0") as refusal:
        books.ledger.release_by_hand(free)
    assert f"prediction-{free.intent_id}" in str(refusal.value)
    books.ledger.charge_by_hand(free, MicroUsd(0))
    books.ledger.charge_by_hand(paid, PRICE)
    assert books.ledger.intent(free.intent_id).billed is BillingState.FREE
    assert books.balance() == (100_000_000, PRICE, 0)


def test_what_is_not_undecided_is_refused(books: Books) -> None:
    """A charged intent waits for its clip, a reserved one for its process: no person decides."""
    reserved, completed = books.reserve("a"), books.completed("b")
    books.ledger.end_worker(books.payer.worker_id)
    with pytest.raises(LedgerError, match="completed: there is nothing to decide yet"):
        books.ledger.charge_by_hand(completed, PRICE)
    with pytest.raises(LedgerError, match="has ended as refused"):
        books.ledger.release_by_hand(books.ledger.intent(reserved.intent_id))


def _orphan(**changes: Any) -> Orphan:  # noqa: ANN401 -- any field
    fields: dict[str, Any] = {
        "prediction_id": "p1",
        "kind": Kind.IMAGE,
        "model": "black-forest-labs/flux-schnell",
        "version": None,
        "prompt_text": "a stranger's cat",
        "amount": PRICE,
        "price_source": "orphan, billed",
        "predict_seconds": 1.0,
        "created_at": NOON,
        "completed_at": NOON + timedelta(seconds=2),
    }
    return Orphan(**(fields | changes))


def test_an_orphan_is_written_once(books: Books) -> None:
    """It is charged to the day it was made on, to no run, and its prediction has an owner then."""
    books.caps |= {"daily_usd": "1", "run_usd": "1"}
    assert books.ledger.record_orphan(_orphan())
    assert not books.ledger.record_orphan(_orphan())
    assert books.balance("daily:2026-11-21") == (1_000_000, PRICE, 0)
    assert {line.budget for line in books.ledger.balances()} == {"total", "daily:2026-11-21"}
    assert books.ledger.owned(["p1", "p2"]) == {"p1"}


def test_an_orphan_is_owed_even_beyond_the_cap(books: Books) -> None:
    """Nothing new fits after it, and the books say by how much the cap was passed."""
    books.caps["total_usd"] = "0.001"
    assert books.ledger.record_orphan(_orphan())
    assert books.balance() == (1000, PRICE, 0)
    with pytest.raises(Exception, match=r"has \$0.00 left"):
        books.reserve()
