"""Staged roll-out: a few prompts first, then more, and a stop before a mistake becomes expensive.

Pure rules: where a selection is cut, and when a stage is bad enough to stop after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeVar

from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.money import MicroUsd, format_usd

_ALL = "all"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a stage may not pass if the next one is to begin.

    Attributes:
        failure_rate: The share of its prompts that failed, from 0 to 1.
        cost_per_clip: What it was charged, failed attempts included, for each clip it made.
    """

    failure_rate: Decimal
    cost_per_clip: MicroUsd | None = None


@dataclass(frozen=True, slots=True)
class Rollout:
    """After how many prompts in all each stage ends (None: all of them), and its bounds."""

    ends: tuple[int | None, ...]
    bounds: Bounds


@dataclass(frozen=True, slots=True)
class StageResult:
    """How a stage ended.

    Attributes:
        prompts: Prompts in it.
        failed: Those of them that did not land.
        clips: Clips that it made; cached ones cost nothing and don't count.
        charged: What it was charged for them and for everything that failed.
    """

    prompts: int
    failed: int
    clips: int
    charged: MicroUsd


def parse_stages(text: str) -> tuple[int | None, ...]:
    """Read where the stages end: after how many prompts in all, the last one often ``all``.

    Args:
        text: Such as ``5,50,all``: five prompts, then 45 more, then the rest.

    Returns:
        The ends; None means all.

    Raises:
        AssetPipelineError: An end is no number, or not beyond the one before.
    """
    ends: list[int | None] = []
    for word in (part.strip().lower() for part in text.split(",")):
        is_number = word.isascii() and word.isdigit()
        end = None if word == _ALL else int(word) if is_number else 0
        before = ends[-1] if ends else 0
        if before is None or (end is not None and end <= before):
            raise AssetPipelineError(
                f"--stages: {text!r} does not name growing numbers of prompts.",
                hint="Write it as 5,50,all: five prompts, then up to fifty, then the rest.",
            )
        ends.append(end)
    return tuple(ends)


def cut(items: Sequence[T], ends: Sequence[int | None]) -> list[Sequence[T]]:
    """Return the stages of a selection, in order; empty ones are left out.

    What lies beyond the last end belongs to none.
    """
    stages: list[Sequence[T]] = []
    start = 0
    for end in ends:
        stage = items[start:end]
        start += len(stage)
        if stage:
            stages.append(stage)
    return stages


def obstacle(stage: StageResult, bounds: Bounds) -> str | None:
    """Return why no further stage may begin, as a sentence; None when one may."""
    rate = Decimal(stage.failed) / stage.prompts
    if rate > bounds.failure_rate:
        return (
            f"{stage.failed:,} of {stage.prompts:,} prompts failed, {_percent(rate)}: more than "
            f"{_percent(bounds.failure_rate)}."
        )
    most = bounds.cost_per_clip
    if most is None or stage.charged <= most * stage.clips:
        return None
    return (
        f"{format_usd(stage.charged)} was charged for {stage.clips:,} clips: more than "
        f"{format_usd(most)} a clip."
    )


def _percent(share: Decimal) -> str:
    return f"{float(share * 100):.3g} %"
