"""What the desk reads: views in order, counts, news, and what failed."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.clock import SystemClock
from asset_pipeline.ledger.clip_pages import ClipFilter
from asset_pipeline.ledger.failed_prompts import Ending, FailedPromptRepository, HowEnded
from asset_pipeline.ledger.review_queue import Order, ReviewCounts, ReviewQueue
from asset_pipeline.ledger.reviews import Decision, Reviews
from asset_pipeline.ledger.service_schema import Verdict
from asset_pipeline_tests.conftest import NewLedger
from asset_pipeline_tests.support.ledgers import Books


@pytest.fixture
def books(new_ledger: NewLedger) -> Generator[Books]:
    """A ledger to deliver clips in."""
    found = Books(new_ledger())
    yield found
    found.ledger.close()


def test_views_counts_and_news(books: Books) -> None:
    """Verdicts move clips between views, and whoever looks is told of both."""
    queue = ReviewQueue(books.ledger.engine, SystemClock())
    old = books.delivered("a", prompt_id="one")
    seen, last = queue.last_clip(), queue.last_review()
    new = books.delivered("b", prompt_id="two")
    everything = ClipFilter()
    assert [each.clip_id for each in queue.index(everything, Order.NEWEST)] == [
        new.clip_id,
        old.clip_id,
    ]
    assert [each.clip_id for each in queue.index(everything, Order.PROMPT, limit=1)] == [
        old.clip_id
    ]
    assert [each.clip.clip_id for each in queue.clips_since(seen, 10)] == [new.clip_id]
    decision = Decision(new.clip_id, new.sha256, Verdict.REJECTED, supersedes=0)
    (review,) = Reviews(books.ledger.engine, SystemClock()).decide([decision], "ann")
    assert queue.verdicts_since(last, 10) == [(review.review_id, new.clip_id, "rejected", "ann")]
    assert queue.counts(everything) == ReviewCounts(undecided=1, approved=0, rejected=1)
    rejected = queue.index(ClipFilter(review_state="rejected"), Order.OLDEST)
    assert [each.review_id for each in rejected] == [review.review_id]
    assert [each.clip.clip_id for each in queue.details([new.clip_id, "none"])] == [new.clip_id]
    assert queue.running() == []


def test_a_new_take_names_the_one_that_it_replaced(books: Books) -> None:
    """It takes that one's place on the page."""
    queue = ReviewQueue(books.ledger.engine, SystemClock())
    first = books.delivered("a")
    seen = queue.last_clip()
    second = books.delivered("b", prompt_id=first.prompt_id)
    (news,) = queue.clips_since(seen, 10)
    assert (news.clip.clip_id, news.replaces) == (second.clip_id, first.clip_id)
    kept = queue.of_prompt(first.kind, first.prompt_id, 10)
    assert {each.clip.clip_id for each in kept} == {first.clip_id, second.clip_id}


def test_what_failed_is_listed_until_it_landed(books: Books) -> None:
    """A prompt whose clip landed after all is no failure any more."""
    queue = ReviewQueue(books.ledger.engine, SystemClock())
    endings = FailedPromptRepository(books.ledger.engine, SystemClock())
    endings.note([Ending(Kind.IMAGE, "one", HowEnded.FAILED, "server_error")], "run")
    (failed,) = queue.failed(10)
    assert (failed.prompt_id, failed.error_class, failed.error) == ("one", "server_error", "")
    books.delivered("a", prompt_id="one")
    assert queue.failed(10) == []
