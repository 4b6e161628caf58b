"""How outcomes add up when prompts are tried more than once."""

from __future__ import annotations

from typing import Any, cast

import pytest

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.cli._summary import Tally
from asset_pipeline.generation.batch import PromptOutcome
from asset_pipeline.generation.failures import ErrorClass, GenerationFailure
from asset_pipeline.generation.payment.recorder import Landed
from asset_pipeline.money import MicroUsd
from asset_pipeline.prompts.spec import Prompt

_PROMPT = Prompt(
    Kind.IMAGE, "p", "c", "text", "", "a/b", 2, {}, (), None, None, "images/c.yaml"
)  # fmt: skip


def _landed(*, cached: bool) -> Landed:
    return Landed(cast("Any", None), b"", MicroUsd(0 if cached else 3000), cached)


def test_a_prompt_that_lands_at_its_second_try_counts_once() -> None:
    """Clips of the first try are cache hits of the second, yet this command made them."""
    tally = Tally()
    tally.want([_PROMPT])
    lost = GenerationFailure(ErrorClass.NETWORK, "gone")
    tally.add(PromptOutcome(_PROMPT, [_landed(cached=False)], [lost]))
    assert (tally.done, tally.landed, tally.failed, len(tally.failures)) == (0, 1, 1, 1)
    tally.add(PromptOutcome(_PROMPT, [_landed(cached=True), _landed(cached=False)]))
    assert (tally.done, tally.landed, tally.failed, len(tally.failures)) == (1, 2, 0, 0)
    assert (tally.generated, tally.cached, tally.paid) == (2, 0, 6000)


@pytest.mark.parametrize(
    ("error_class", "refused"), [(ErrorClass.BUDGET, True), (ErrorClass.NETWORK, False)]
)
def test_a_refusal_by_a_budget_is_noticed(error_class: ErrorClass, *, refused: bool) -> None:
    """It decides the exit code."""
    tally = Tally()
    tally.add(PromptOutcome(_PROMPT, [], [GenerationFailure(error_class, "no")] * 2))
    assert tally.refused_by_budget is refused
