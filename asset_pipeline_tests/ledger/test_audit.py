"""The audit finds nothing wrong in whole books, and every kind of damage in others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Connection, insert, text, update

from asset_pipeline.ledger.schema import IntentState, budgets, clips, entries, intents
from asset_pipeline_tests.conftest import NewLedger
from asset_pipeline_tests.support.clocks import NOON
from asset_pipeline_tests.support.ledgers import Books, stored_file


@pytest.fixture
def books(new_ledger: NewLedger) -> Iterator[Books]:
    """Books with an intent in every state but the question."""
    books = Books(new_ledger(), daily_usd="10", collections_usd={"kit": "5"})
    ledger = books.ledger
    books.reserve("reserved")
    ledger.start_submitting(books.reserve("submitting"))
    ledger.lose_reply(ledger.start_submitting(books.reserve("unknown")), "gone")
    books.submitted("submitted")
    books.completed("completed", 2000)
    ledger.fail(books.completed("failed", 0), "bad_output", "blank")
    ledger.refuse(books.reserve("refused"), "invalid_input", "no")
    books.delivered("dear", 4500)
    books.delivered("cheap", 1000)
    yield books
    books.close()


def test_whole_books_agree(books: Books) -> None:
    """Intents in all states, dearer and cheaper than reserved, a cap lowered under its use."""
    books.caps["total_usd"] = "0.02"
    with pytest.raises(Exception, match="Budget 'total'"):
        books.reserve("one too many")
    report = books.ledger.audit()
    assert report.mismatches == ()
    assert (report.budgets, report.intents, report.clips) == (3, 9, 2)
    assert report.entries > 30


def _intent_in(state: IntentState) -> str:
    return f"(SELECT intent_id FROM intents WHERE state = '{state.value}')"


def _unbalance(connection: Connection) -> None:
    connection.execute(
        update(budgets)
        .where(budgets.c.budget == "collection:kit")
        .values(charged_microusd=budgets.c.charged_microusd - 1000)
    )


def _miss_a_payment(connection: Connection) -> None:
    """As if a budget had not been there for a while: it agrees with its own entries."""
    connection.execute(
        entries.delete().where(entries.c.budget == "collection:kit", entries.c.type == "charge")
    )
    connection.execute(
        update(budgets).where(budgets.c.budget == "collection:kit").values(charged_microusd=0)
    )


def _add_entry(connection: Connection) -> None:
    query = text(f"SELECT intent_id FROM intents WHERE state = '{IntentState.COMPLETED.value}'")
    intent_id = connection.execute(query).scalar_one()
    connection.execute(
        insert(entries).values(
            intent_id=intent_id,
            budget="collection:kit",
            type="charge",
            amount_microusd=7,
            created_at=NOON,
        )
    )


def _hold_after_the_end(connection: Connection) -> None:
    connection.execute(
        update(intents)
        .where(intents.c.state == IntentState.REFUSED.value)
        .values(reserved_microusd=3000)
    )


def _lose_the_prediction(connection: Connection) -> None:
    connection.execute(
        update(intents)
        .where(intents.c.state == IntentState.SUBMITTED.value)
        .values(prediction_id=None)
    )


def _lose_a_clip(connection: Connection) -> None:
    connection.execute(clips.delete().where(clips.c.cost_microusd == 4500))


def _charge_what_was_free(connection: Connection) -> None:
    connection.execute(
        update(intents).where(intents.c.charged_microusd == 1000).values(billed="free")
    )


def _overdraw(connection: Connection) -> None:
    connection.execute(
        update(budgets).where(budgets.c.budget == "total").values(overdrawn_microusd=5)
    )


@pytest.mark.parametrize(
    ("damage", "subject", "rule", "expected", "found"),
    [
        (_unbalance, "budget collection:kit", "sum to charged", "$0.0075", "$0.0065"),
        (_miss_a_payment, "budget collection:kit", "scope sum to charged", "$0.0075", "$0.00"),
        (_add_entry, "intent ", "under collection:kit sum to charged", "$0.002007", "$0.002"),
        (_hold_after_the_end, "intent ", "ended holds no reservation", "holds", "state refused"),
        (_lose_the_prediction, "intent ", "has its prediction id", "holds", "state submitted"),
        (_lose_a_clip, "intent ", "delivered intent has its clip", "holds", "state delivered"),
        (_charge_what_was_free, "intent ", "free is not charged", "holds", "state delivered"),
        (_overdraw, "budget total", "overdrawn is what passes", "$0.00", "$0.000005"),
    ],
)
def test_every_damage_is_named(
    books: Books,
    damage: Callable[[Connection], None],
    subject: str,
    rule: str,
    expected: str,
    found: str,
) -> None:
    """A changed balance, entry, state or clip shows, with both values."""
    with books.ledger.engine.begin() as connection:
        damage(connection)
    mismatches = books.ledger.audit().mismatches
    matching = [each for each in mismatches if rule in each.rule]
    assert matching, mismatches
    assert matching[0].subject.startswith(subject)
    assert (matching[0].expected, matching[0].found[-len(found) :]) == (expected, found)


def test_runs_that_write_meanwhile_disturb_no_audit(new_ledger: NewLedger) -> None:
    """Every audit sees one moment: none reports a payment that is half-way."""
    url = new_ledger()
    books, reading = Books(url), Books(url)
    stop = threading.Event()

    def pay() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            intent = books.completed(f"clip {number}")
            books.ledger.deliver(intent, stored_file(str(number)), [])

    payer = threading.Thread(target=pay)
    payer.start()
    try:
        reports = [reading.ledger.audit() for _ in range(25)]
    finally:
        stop.set()
        payer.join()
    assert [report.mismatches for report in reports] == [()] * 25
    assert reports[-1].intents > reports[0].intents
    for each in (books, reading):
        each.close()
