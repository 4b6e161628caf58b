"""Verdicts: only ever added, bound to the file that was looked at, acted on once."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.clock import SystemClock
from asset_pipeline.ledger.reviews import Decision, Reviews, StaleVerdictError
from asset_pipeline.ledger.service_schema import Verdict
from asset_pipeline_tests.conftest import NewLedger
from asset_pipeline_tests.support.ledgers import Books

JOBS = {kind: f"publish_{kind}_clips" for kind in Kind}


@pytest.fixture
def books(new_ledger: NewLedger) -> Generator[Books]:
    """A ledger to deliver clips in."""
    found = Books(new_ledger())
    yield found
    found.ledger.close()


def test_verdicts_are_added_and_undone_by_another(books: Books) -> None:
    """Each takes the place of the last; undoing adds what stood before, also nothing."""
    reviews = Reviews(books.ledger.engine, SystemClock())
    clip = books.delivered("a")
    (first,) = reviews.decide(
        [Decision(clip.clip_id, clip.sha256, Verdict.REJECTED, "blurry")], "ann"
    )
    (second,) = reviews.decide([Decision(clip.clip_id, clip.sha256, Verdict.APPROVED)], "ann")
    assert second.supersedes == first.review_id
    back = reviews.undo(second.review_id, "ben")
    assert (back.verdict, back.reason_code) == (Verdict.REJECTED, "blurry")
    with pytest.raises(StaleVerdictError, match="Somebody else"):
        reviews.undo(second.review_id, "ann")
    gone = reviews.undo(back.review_id, "ben")
    assert gone.verdict is Verdict.APPROVED
    assert len(reviews.of_clip(clip.clip_id)) == 4


def test_a_first_verdict_is_undone_to_none(books: Books) -> None:
    """Before it there was no decision, and there is none again."""
    reviews = Reviews(books.ledger.engine, SystemClock())
    clip = books.delivered("a")
    (only,) = reviews.decide([Decision(clip.clip_id, clip.sha256, Verdict.APPROVED)], "ann")
    assert reviews.undo(only.review_id, "ann").verdict is Verdict.UNDECIDED
    (now,) = books.ledger.current_clips_of(clip.kind, clip.prompt_id)
    assert now.review_state is None


@pytest.mark.parametrize("change", ["hash", "replaced", "decided"])
def test_a_verdict_on_something_else_is_refused(books: Books, change: str) -> None:
    """Another file, a replaced clip, another's verdict meanwhile: nothing of the lot is written."""
    reviews = Reviews(books.ledger.engine, SystemClock())
    good, clip = books.delivered("g", prompt_id="good"), books.delivered("a")
    sha256, supersedes, code = clip.sha256, None, "clip_changed"
    if change == "hash":
        sha256 = "0" * 64
    elif change == "replaced":
        code = "clip_replaced"
        books.delivered("b", prompt_id=clip.prompt_id)
    else:
        code, supersedes = "review_changed", 999
    decisions = [
        Decision(good.clip_id, good.sha256, Verdict.APPROVED),
        Decision(clip.clip_id, sha256, Verdict.APPROVED, supersedes=supersedes),
    ]
    with pytest.raises(StaleVerdictError) as refused:
        reviews.decide(decisions, "ann")
    assert refused.value.code == code
    assert reviews.listed(None, 10) == []


def test_many_decisions_are_one_launch(books: Books) -> None:
    """A tick takes up all of them: one run publishes exactly what was approved."""
    reviews = Reviews(books.ledger.engine, SystemClock())
    clips = [books.delivered(f"g{n}", prompt_id=f"prompt-{n}") for n in range(40)]
    decisions = [
        Decision(
            clip.clip_id, clip.sha256, Verdict.REJECTED if place % 4 == 0 else Verdict.APPROVED
        )
        for place, clip in enumerate(clips)
    ]
    reviews.decide(decisions, "ann")
    taken = reviews.take_up(JOBS)
    (launch,) = taken.launches
    approved = tuple(f"prompt-{n}" for n in range(40) if n % 4)
    assert launch.prompt_ids == approved
    assert taken.rejected == {(Kind.IMAGE, f"prompt-{n}") for n in range(0, 40, 4)}
    assert reviews.take_up(JOBS).launches == []
