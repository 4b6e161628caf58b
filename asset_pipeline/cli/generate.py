"""`generate`: what it is told, and what it shows."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from asset_pipeline.cli._imports import without_gc
from asset_pipeline.cli._limits import check_room
from asset_pipeline.cli._options import (
    AsJson,
    Collections,
    Everything,
    Failed,
    Kinds,
    Limit,
    MaxUsd,
    Missing,
    PromptIds,
    Stale,
    Tags,
    read_amount,
)
from asset_pipeline.cli._output import show_error
from asset_pipeline.cli._selection import PromptSelection
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.generation.planning.stages import Bounds, Rollout, parse_stages
from asset_pipeline.money import MicroUsd

if TYPE_CHECKING:
    from asset_pipeline.cli._summary import Summary

_STAGES = "In stages"
_FAILURE_RATE = "0.2"

Stages: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--stages",
        help="Stop after so many prompts in all to look: 5,50,all.",
        rich_help_panel=_STAGES,
    ),
]
MaxFailureRate: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--max-failure-rate",
        help=f"Go on unless more of a stage's prompts failed; {_FAILURE_RATE} if not given.",
        rich_help_panel=_STAGES,
    ),
]
MaxCostPerClip: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--max-cost-per-clip",
        help="Go on unless a stage's clips cost more US dollars each.",
        rich_help_panel=_STAGES,
    ),
]


@dataclass(frozen=True, slots=True)
class GenerateOptions:
    """What one `generate` was told.

    Attributes:
        max_usd: A cap for all its runs together.
        ask: Whether a person is asked before clips are paid for again.
        rollout: The stages to run in, and when to stop between two of them.
    """

    choice: PromptSelection
    max_usd: MicroUsd | None = None
    max_in_flight: int | None = None
    force: bool = False
    ask: bool = True
    as_json: bool = False
    rollout: Rollout | None = None


def generate(
    *,
    kind: Kinds = None,
    collection: Collections = None,
    prompt: PromptIds = None,
    tag: Tags = None,
    missing: Missing = False,
    failed: Failed = False,
    stale: Stale = False,
    everything: Everything = False,
    limit: Limit = None,
    max_usd: MaxUsd = None,
    max_in_flight: Annotated[
        int | None, typer.Option("--max-in-flight", min=1, max=1000, help="Clips at a time.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Pay again for clips that are stored already.")
    ] = False,
    stages: Stages = None,
    max_failure_rate: MaxFailureRate = None,
    max_cost_per_clip: MaxCostPerClip = None,
    render: Annotated[
        bool, typer.Option("--render", help="Then make the renditions of what was chosen.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Then check the clips that landed since the last time.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Generate the clips of the chosen prompts, those that are missing if none are named.

    Stored clips are reused and open predictions continued; neither is paid again. The events are
    in Dagster, where `make dev` shows them. Then the warehouse and the gallery are published.

    In stages, a few prompts go first, and exit code 1 says that a stage was too bad to go on.
    """
    check_room()
    choice = PromptSelection(
        kinds=kind,
        collections=collection,
        prompt_ids=prompt,
        tags=tag,
        missing=missing,
        failed=failed,
        stale=stale,
        everything=everything or (force and not (missing or failed or stale)),
        limit=limit,
    )
    options = GenerateOptions(
        choice,
        max_usd=None if max_usd is None else read_amount("--max-usd", max_usd),
        max_in_flight=max_in_flight,
        force=force,
        ask=not yes,
        as_json=as_json,
        rollout=_rollout(stages, max_failure_rate, max_cost_per_clip),
    )
    code = carry_out(options)
    if render or check:
        code = code or _follow_up(choice, render=render, check=check)
    raise typer.Exit(code)


def _follow_up(choice: PromptSelection, *, render: bool, check: bool) -> int:
    """Render and check what was chosen, whatever its state is by now; return the exit code."""
    # Both are commands of their own too, and seldom wanted here.
    from asset_pipeline.cli.render import follow_generation  # noqa: PLC0415

    return follow_generation(choice, render=render, check=check)


def make(options: GenerateOptions) -> Summary:
    """Generate and publish, with progress on stderr.

    Raises:
        AssetPipelineError: Nothing could be run.
        typer.Exit: It was interrupted.
    """
    # Dagster and all that makes clips, three seconds of imports: `--help` does not wait for them.
    with without_gc():
        from asset_pipeline.cli import _generation as generation  # noqa: PLC0415

    return generation.make(options)


def carry_out(options: GenerateOptions) -> int:
    """Generate, publish, show what came of it, and return the exit code.

    Raises:
        AssetPipelineError: Nothing could be run.
        typer.Exit: It was interrupted.
    """
    summary = make(options)
    summary.show(as_json=options.as_json)
    if summary.broken is not None:
        show_error(summary.broken)
    return summary.exit_code


def _rollout(
    stages: str | None, max_failure_rate: str | None, max_cost_per_clip: str | None
) -> Rollout | None:
    """Read the three flags of a staged run.

    Raises:
        AssetPipelineError: One of them is wrong, or says something about stages without any.
    """
    if stages is None:
        if max_failure_rate is None and max_cost_per_clip is None:
            return None
        raise AssetPipelineError(
            "--max-failure-rate and --max-cost-per-clip bound the stages of a run.",
            hint="Give --stages 5,50,all too.",
        )
    cost = max_cost_per_clip
    bounds = Bounds(
        failure_rate=_share(_FAILURE_RATE if max_failure_rate is None else max_failure_rate),
        cost_per_clip=None if cost is None else read_amount("--max-cost-per-clip", cost),
    )
    return Rollout(parse_stages(stages), bounds)


def _share(text: str) -> Decimal:
    try:
        share = Decimal(text)
        if 0 <= share <= 1:
            return share
    except InvalidOperation:
        pass
    raise AssetPipelineError(
        f"--max-failure-rate: {text!r} is no share of the prompts.", hint="Write it as 0.2."
    )
