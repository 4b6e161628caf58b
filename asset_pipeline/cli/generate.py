"""`generate` and `demo`: the flags; what they do is in :mod:`asset_pipeline.cli._generation`."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated

import typer

from asset_pipeline.cli._amounts import read_amount
from asset_pipeline.cli._imports import without_gc
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
)
from asset_pipeline.cli._selection import PromptSelection
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.generation.planning.stages import Bounds, Rollout, parse_stages

_STAGES = "In stages"
_FAILURE_RATE = "0.2"


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
    stages: Annotated[
        str | None,
        typer.Option(
            "--stages",
            help="Stop after so many prompts in all to look: 5,50,all.",
            rich_help_panel=_STAGES,
        ),
    ] = None,
    max_failure_rate: Annotated[
        str | None,
        typer.Option(
            "--max-failure-rate",
            help=f"Go on unless more of a stage's prompts failed; {_FAILURE_RATE} if not given.",
            rich_help_panel=_STAGES,
        ),
    ] = None,
    max_cost_per_clip: Annotated[
        str | None,
        typer.Option(
            "--max-cost-per-clip",
            help="Go on unless a stage's clips cost more US dollars each.",
            rich_help_panel=_STAGES,
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Generate the clips of the chosen prompts, those that are missing if none are named.

    Stored clips are reused and open predictions continued; neither is paid again. The events are
    in Dagster, where `make dev` shows them. Then the warehouse and the gallery are published.

    In stages, a few prompts go first, and exit code 1 says that a stage was too bad to go on.
    """
    # Dagster and everything else that makes clips: `--help` does not wait for them.
    with without_gc():
        from asset_pipeline.cli._generation import GenerateOptions, carry_out  # noqa: PLC0415

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
    orders = GenerateOptions(
        choice,
        max_usd=None if max_usd is None else read_amount("--max-usd", max_usd),
        max_in_flight=max_in_flight,
        force=force,
        ask=not yes,
        as_json=as_json,
        rollout=_rollout(stages, max_failure_rate, max_cost_per_clip),
    )
    raise typer.Exit(carry_out(orders))


def demo(
    faults: Annotated[
        Path | None,
        typer.Option("--faults", help="Rehearse a plan's failures, in data/demo-faults."),
    ] = None,
) -> None:
    """Make everything in the prompts folder on the embedded sandbox, where nothing costs money."""
    if faults is not None:
        from asset_pipeline.cli._fault_demo import rehearse  # noqa: PLC0415 -- as above

        raise typer.Exit(rehearse(faults))
    from asset_pipeline.cli.demo import demonstrate  # noqa: PLC0415 -- as above

    raise typer.Exit(demonstrate())


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
