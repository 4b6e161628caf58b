"""Where a selection is cut into stages, and when a stage is too bad for another to begin."""

from __future__ import annotations

from decimal import Decimal

import pytest

from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.generation.planning.stages import (
    Bounds,
    StageResult,
    cut,
    obstacle,
    parse_stages,
)
from asset_pipeline.money import MicroUsd

_BOUNDS = Bounds(Decimal("0.2"), MicroUsd(50_000))


def _stage(prompts: int, failed: int, clips: int, charged: int) -> StageResult:
    return StageResult(prompts, failed, clips, MicroUsd(charged))


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("5,50,all", (5, 50, None)),
        (" 1 , ALL ", (1, None)),
        ("10", (10,)),
        ("all", (None,)),
    ],
)
def test_ends_are_numbers_of_prompts_in_all(text: str, ends: tuple[int | None, ...]) -> None:
    """The last one may be all of them."""
    assert parse_stages(text) == ends


@pytest.mark.parametrize(
    "text", ["", "0", "5,5", "50,5", "all,5", "all,all", "-1", "5,,all", "5.5", "five", "²"]
)
def test_ends_that_do_not_grow_are_refused(text: str) -> None:
    """With the text and an example."""
    with pytest.raises(AssetPipelineError, match="5,50,all") as refusal:
        parse_stages(text)
    assert repr(text) in str(refusal.value)


@pytest.mark.parametrize(
    ("ends", "sizes"),
    [
        ((2, 5, None), [2, 3, 4]),
        ((2, 5), [2, 3]),
        ((9, None), [9]),
        ((20, None), [9]),
        ((None,), [9]),
    ],
)
def test_stages_follow_each_other(ends: tuple[int | None, ...], sizes: list[int]) -> None:
    """In order, none twice, none empty; what is beyond a last number is in none."""
    items = list(range(9))
    stages = cut(items, ends)
    assert [len(stage) for stage in stages] == sizes
    assert [item for stage in stages for item in stage] == items[: sum(sizes)]
    assert cut([], ends) == []


def test_a_bound_is_passed_when_it_is_exceeded() -> None:
    """Exactly a fifth failed, exactly five cents a clip: the next stage may begin."""
    assert obstacle(_stage(5, 1, 4, 200_000), _BOUNDS) is None
    assert obstacle(_stage(5, 2, 3, 0), _BOUNDS) == ("2 of 5 prompts failed, 40 %: more than 20 %.")
    assert obstacle(_stage(5, 0, 4, 200_001), _BOUNDS) == (
        "$0.200001 was charged for 4 clips: more than $0.05 a clip."
    )


def test_money_for_no_clip_at_all_passes_any_bound() -> None:
    """Charged failures count; a stage of cached clips cost nothing and passes none."""
    assert obstacle(_stage(10, 1, 0, 3000), _BOUNDS) is not None
    assert obstacle(_stage(10, 0, 0, 0), _BOUNDS) is None


def test_without_a_bound_on_cost_none_is_held() -> None:
    """Failures still are."""
    bounds = Bounds(Decimal(0))
    assert obstacle(_stage(5, 0, 1, 10**9), bounds) is None
    assert obstacle(_stage(1000, 1, 999, 0), bounds) is not None
