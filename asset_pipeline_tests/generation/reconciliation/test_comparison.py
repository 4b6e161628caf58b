"""What the provider lists is held against what the ledger says of its own rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from asset_pipeline.generation.reconciliation.comparison import differences
from asset_pipeline.ledger.audit import Mismatch
from asset_pipeline.ledger.manual_resolution import Orphan
from asset_pipeline.ledger.records import Intent
from asset_pipeline.ledger.reports import LedgerReader
from asset_pipeline.money import MicroUsd
from asset_pipeline.providers.prediction import Prediction, PredictionStatus
from asset_pipeline_tests.conftest import NewLedger
from asset_pipeline_tests.support.clocks import FakeClock
from asset_pipeline_tests.support.generation_samples import prediction
from asset_pipeline_tests.support.ledgers import Books


@pytest.fixture
def books(new_sqlite: NewLedger, clock: FakeClock) -> Iterator[Books]:
    """An empty ledger."""
    books = Books(new_sqlite(), clock)
    yield books
    books.close()


def _listed(intent: Intent, name: str, **changes: object) -> Prediction:
    """What the provider lists for an intent, under an id."""
    inputs = {"prompt": intent.prompt_text, "seed": intent.seed} | changes
    return replace(
        prediction(id=name, model=intent.model),
        inputs={key: value for key, value in inputs.items() if value is not None},
        created_at=intent.submitted_at,
    )


def _found(books: Books, *listed: Prediction) -> list[Mismatch]:
    owned = books.ledger.owned(each.prediction_id for each in listed)
    return differences(listed, owned, LedgerReader(books.ledger.engine))


def _released(books: Books, **changes: object) -> Intent:
    lost = books.ledger.lose_reply(
        books.ledger.start_submitting(books.reserve("a", **changes)), "gone"
    )
    return books.ledger.refuse(lost, "network", "never accepted") or lost


def test_what_is_owned_agrees(books: Books) -> None:
    """One row for one payment; a row that two pages repeat is one."""
    intent = books.submitted("a")
    row = _listed(intent, intent.prediction_id or "")
    assert _found(books, row, row) == []


def test_a_release_that_was_accepted_after_all_is_named(books: Books) -> None:
    """Known by its derived seed, text shown or not."""
    intent = _released(books)
    for hidden in ({}, {"prompt": None}):
        (mismatch,) = _found(books, _listed(intent, "late", **hidden))
        assert (mismatch.subject, mismatch.found) == (
            f"intent {intent.intent_id}",
            "prediction late",
        )
        assert "was released (image/prompt-a variant 1)" in mismatch.rule


def test_without_a_seed_text_and_time_tell(books: Books, clock: FakeClock) -> None:
    """Of another hour, text or model it is a stranger's."""
    intent = _released(books, seed=None)
    row = _listed(intent, "late")
    assert len(_found(books, row)) == 1
    assert _found(books, replace(row, created_at=clock.now() + timedelta(hours=1))) == []
    assert _found(books, replace(row, inputs={"prompt": "another"})) == []
    assert _found(books, replace(row, model="acme/other")) == []


def test_a_second_prediction_for_one_payment_is_named(books: Books) -> None:
    """Also when an audit has recorded it as nobody's, for the clip is paid for twice all the same.

    One that failed was free.
    """
    intent = books.submitted("a")
    first, second = _listed(intent, intent.prediction_id or ""), _listed(intent, "second")
    (mismatch,) = _found(books, first, second)
    assert mismatch.subject == "image/prompt-a variant 1"
    assert mismatch.found == "prediction second as well"
    assert _found(books, first, replace(second, status=PredictionStatus.FAILED)) == []
    orphan = Orphan(
        prediction_id="second",
        kind=intent.kind,
        model=intent.model,
        version=None,
        prompt_text=intent.prompt_text,
        amount=MicroUsd(3000),
        price_source="orphan",
        predict_seconds=None,
        created_at=intent.created_at,
        completed_at=intent.created_at,
    )
    assert books.ledger.record_orphan(orphan)
    assert _found(books, first, second) == [mismatch]


def test_one_id_for_two_predictions_is_named(books: Books) -> None:
    """Rows are counted, not ids: the second create was accepted as well."""
    intent = books.submitted("a")
    name = intent.prediction_id or ""
    (mismatch,) = _found(books, _listed(intent, name), _listed(intent, name, seed=99))
    assert (mismatch.subject, mismatch.found) == (f"prediction {name}", "2 predictions")


def test_what_may_still_be_found_is_waited_for(books: Books) -> None:
    """An intent whose reply was lost, or that a person charged, owns one."""
    lost = books.ledger.lose_reply(books.ledger.start_submitting(books.reserve("a")), "gone")
    row = _listed(lost, "its-own")
    assert _found(books, row) == []
    books.ledger.charge_by_hand(books.ledger.ask(lost, "cannot tell"), MicroUsd(3000))
    assert _found(books, row) == []


@pytest.mark.parametrize("seed", [2**63, -(2**70), 1e300, float("inf"), float("nan"), True, "7"])
def test_absurd_seeds_are_nobodys(books: Books, seed: object) -> None:
    """A stranger's input breaks no audit."""
    intent = books.submitted("a")
    assert _found(books, _listed(intent, "odd", seed=seed, prompt="x")) == []
