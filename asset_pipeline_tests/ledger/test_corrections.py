"""Charges that are not what was expected are noted, and a person can set one right."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from asset_pipeline.ledger.engine import LedgerError
from asset_pipeline.ledger.records import Intent, Reuse
from asset_pipeline.ledger.reports import LedgerReader
from asset_pipeline.ledger.schema import BillingState, IntentState
from asset_pipeline.money import MicroUsd
from asset_pipeline_tests.conftest import NewLedger
from asset_pipeline_tests.support.clocks import FakeClock
from asset_pipeline_tests.support.ledger_invariants import violations
from asset_pipeline_tests.support.ledgers import PRICE, Books, dollars


@pytest.fixture
def books(new_ledger: NewLedger, clock: FakeClock) -> Iterator[Books]:
    """Books that balance at the end, as the audit agrees."""
    books = Books(new_ledger(), clock, collections_usd={"kit": "1"})
    yield books
    assert violations(books.ledger.engine) == []
    assert books.ledger.audit().mismatches == ()
    books.close()


def _ended(books: Books, charge: int = PRICE) -> Intent:
    books.delivered("clip", charge)
    (intent,) = books.ledger.intents_in([IntentState.DELIVERED])
    return intent


def test_a_charge_above_its_reservation_is_recorded_in_full_and_noted(books: Books) -> None:
    """A debt is not hidden, and nobody has to find it by chance."""
    intent = _ended(books, 4 * PRICE)
    assert intent.charged_microusd == 4 * PRICE
    assert "$0.012 charged where $0.003 was reserved" in (intent.charge_note or "")
    assert LedgerReader(books.ledger.engine).noted_charges() == [intent]
    assert books.balance("collection:kit")[1] == 4 * PRICE


def test_what_was_not_believed_is_noted(books: Books) -> None:
    """The reason that comes with a charge stays with the intent; an ordinary one has none."""
    plain = books.completed("plain")
    noted = books.ledger.charge(
        books.submitted("odd"),
        PRICE,
        billed=BillingState.BILLED,
        predict_seconds=None,
        note="the provider counted 0 images, charged as 1",
    )
    assert plain.charge_note is None
    assert LedgerReader(books.ledger.engine).noted_charges() == [noted]


@pytest.mark.parametrize("truth", [0, 1, PRICE + 1, 1_000_000_000])
def test_a_correction_is_an_entry_of_the_difference(books: Books, truth: int) -> None:
    """Intent, clip and every budget say the new amount, and the intent says who said so and why."""
    before = _ended(books)
    after = books.ledger.correct(before, MicroUsd(truth), "ann@desk: invoice 12")
    assert after == books.ledger.intent(before.intent_id)
    assert after.charged_microusd == truth
    assert "corrected to" in (after.charge_note or "")
    assert "ann@desk: invoice 12" in (after.charge_note or "")
    assert after.billed is (BillingState.BILLED if truth else BillingState.FREE)
    for budget in ("total", "collection:kit"):
        assert books.balance(budget)[1] == truth
        assert books.movements(budget)[-1] == ("charge", truth - PRICE)
    (clip,) = books.ledger.current_clips()
    assert clip.cost_microusd == truth


def test_a_correction_gives_a_blocked_budget_its_room_back(books: Books) -> None:
    """What a provider's odd number used up can be spent once it is set right."""
    intent = _ended(books, 10**12)
    books.caps["total_usd"] = dollars(10 * PRICE)
    with pytest.raises(Exception, match="Budget"):
        books.reserve("next")
    books.ledger.correct(intent, PRICE, "ann: the bill says so")
    assert books.reserve("next").reserved_microusd == PRICE


def test_only_the_clip_that_was_paid_for_follows(books: Books) -> None:
    """Clips that reuse it stay free."""
    clip = books.delivered("clip")
    books.ledger.reuse(
        clip, Reuse(kind=clip.kind, prompt_id="other", collection="kit", variant=1, run_id="run-2")
    )
    intent = books.ledger.intent(clip.intent_id)
    books.ledger.correct(intent, MicroUsd(7), "ann: why")
    costs = {each.prompt_id: each.cost_microusd for each in books.ledger.current_clips()}
    assert costs == {"prompt-clip": 7, "other": 0}


def test_what_is_open_or_has_changed_is_left_alone(books: Books) -> None:
    """Only an ended intent is corrected, as it was read, and to another amount."""
    with pytest.raises(LedgerError, match="only what was charged"):
        books.ledger.correct(books.completed("open"), MicroUsd(1), "ann: why")
    books.ledger.fail(books.completed("failed"), "bad_output", "blank")
    (failed,) = books.ledger.intents_in([IntentState.FAILED])
    with pytest.raises(LedgerError, match="already"):
        books.ledger.correct(failed, PRICE, "ann: why")
    books.ledger.correct(failed, MicroUsd(1), "ann: why")
    with pytest.raises(LedgerError, match="moved on"):
        books.ledger.correct(failed, MicroUsd(2), "ann: why")
