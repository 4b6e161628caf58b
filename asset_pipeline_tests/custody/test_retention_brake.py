"""Prompt files that are away don't make the clips of their prompts deletable."""

from __future__ import annotations

from datetime import timedelta

import pytest

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.custody.retention_brake import Leaving, TooMuchGoesError, leaving
from asset_pipeline.custody.retention_plan import choose
from asset_pipeline.custody.retention_rules import RetentionRules
from asset_pipeline_tests.support.custody_site import Keep

EVERYTHING = RetentionRules.model_validate({"rules": [{"name": "all", "older_than_days": 1}]})


def found(keep: Keep, live: set[str], collections: set[str]) -> Leaving:
    now = keep.clock.now() + timedelta(days=2)
    held = keep.custody.held()
    choice = choose(held, EVERYTHING, is_live=lambda clip: clip.prompt_id in live, now=now)
    return leaving(choice.doomed, held, {(Kind.IMAGE, name) for name in collections})


def test_a_few_prompts_that_left_their_file_may_go(keep: Keep) -> None:
    """A collection that is still there lost two prompts: their clips are left to the rules."""
    for number in range(4):
        keep.land(f"p{number}")
    few = found(keep, {"p0", "p1"}, {"kit"})
    assert (few.clips, few.of, few.is_suspicious) == (2, 4, False)
    few.refuse()


def test_many_prompts_that_left_are_asked_about(keep: Keep) -> None:
    """More than a tenth of the current clips, and more than two."""
    for number in range(4):
        keep.land(f"p{number}")
    with pytest.raises(TooMuchGoesError, match="3 of 4 current clips") as braked:
        found(keep, {"p0"}, {"kit"}).refuse()
    assert braked.value.exit_code == 1
    assert "--accept-loss" in str(braked.value)


def test_one_collection_that_is_away_is_asked_about(keep: Keep) -> None:
    """However few its clips are: a file that is away is not the same as prompts given up."""
    for number in range(40):
        keep.land(f"p{number}")
    keep.land("lonely", collection="small")
    with pytest.raises(TooMuchGoesError, match="of small"):
        found(keep, {f"p{number}" for number in range(40)}, {"kit"}).refuse()


def test_superseded_clips_go_without_a_question(keep: Keep) -> None:
    """The brake is for current clips alone."""
    for number in range(20):
        keep.land("cover", f"take {number}".encode())
    assert found(keep, {"cover"}, {"kit"}) == Leaving(0, 1, ())
