"""A store that refuses files: nothing more is paid for, and what is paid for is kept at hand."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from asset_pipeline.prompts.spec import Prompt
from asset_pipeline_tests.support.crash import workload
from asset_pipeline_tests.support.crash.site import Site
from asset_pipeline_tests.support.ledger_invariants import violations
from asset_pipeline_tests.support.stage import Stage

PROMPTS = 20


@pytest.fixture
def stage(site: Site) -> Iterator[Stage]:
    """A stage whose books must balance at the end, two clips at a time."""
    stage = Stage(site, max_in_flight=2)
    yield stage
    books = stage.ledger()
    assert violations(books.engine) == []
    books.close()


@pytest.fixture
def pictures(name: str) -> list[Prompt]:
    """Twenty prompts that no other test has."""
    return [workload.picture(f"{name}-{number}") for number in range(PROMPTS)]


def test_a_store_that_takes_nothing_is_found_out_before_the_first_payment(
    stage: Stage, pictures: list[Prompt]
) -> None:
    """Nothing is reserved or sent, however many prompts there are; then it is mended."""
    blocked = stage.site.folder / "clips"
    blocked.write_text("no folder")
    posts = stage.site.posts()
    outcomes = stage.run(*pictures)
    assert stage.site.posts() == posts
    assert stage.intents() == []
    said = {failure.message for each in outcomes.values() for failure in each.failures}
    assert len(said) == 1
    assert said.pop().startswith("Nothing more is paid for, because the store refuses files")
    blocked.unlink()
    assert all(outcome.done for outcome in stage.run(*pictures).values())
    assert stage.site.posts() == posts + PROMPTS


def test_the_first_refused_clip_ends_the_paying(stage: Stage, pictures: list[Prompt]) -> None:
    """What was under way stays open and is fetched, not paid again, when the store is mended."""
    blocked = stage.site.folder / "clips" / "image"
    blocked.parent.mkdir()
    blocked.write_text("no folder")
    posts = stage.site.posts()
    outcomes = stage.run(*pictures)
    assert not any(outcome.done for outcome in outcomes.values())
    paid = stage.site.posts() - posts
    assert 1 <= paid <= 2 * stage.max_in_flight
    assert stage.states().count("completed") == paid
    assert set(stage.states()) <= {"completed", "refused"}
    causes = [failure.cause for each in outcomes.values() for failure in each.failures]
    assert causes.count("store refuses") == PROMPTS - paid
    blocked.unlink()
    assert all(outcome.done for outcome in stage.run(*pictures).values())
    assert stage.site.posts() == posts + PROMPTS
