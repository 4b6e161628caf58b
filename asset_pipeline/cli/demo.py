"""`demo`: the whole library on the sandbox, and what to look at then."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.cli._fault_demo import rehearse
from asset_pipeline.cli._limits import check_room
from asset_pipeline.cli._output import say, show_error, show_table, stdout
from asset_pipeline.cli._selection import PromptSelection
from asset_pipeline.cli._summary import show_failures
from asset_pipeline.cli.costs import By, cost_rows, show_cost_table
from asset_pipeline.cli.generate import GenerateOptions, make
from asset_pipeline.money import format_usd
from asset_pipeline.settings import ProviderName
from asset_pipeline.warehouse.query import query

_COUNT_CLIPS = "SELECT kind, count(*) FROM clips WHERE superseded_at IS NULL GROUP BY kind"


def demo(
    faults: Annotated[
        Path | None,
        typer.Option("--faults", help="Rehearse a plan's failures, in data/demo-faults."),
    ] = None,
) -> None:
    """Make everything in the prompts folder on the embedded sandbox, where nothing costs money."""
    check_room()
    if faults is not None:
        raise typer.Exit(rehearse(faults))
    raise typer.Exit(demonstrate())


def demonstrate() -> int:
    """Generate everything on the sandbox, show what it would have cost, return the exit code.

    Raises:
        AssetPipelineError: Nothing could be run.
    """
    # A token may be set, and a demo must never spend what it opens.
    os.environ["ASSET_PIPELINE_PROVIDER"] = ProviderName.SANDBOX
    summary = make(GenerateOptions(PromptSelection(everything=True), ask=False))
    if summary.tally.failures:
        show_failures(summary.tally)
    if summary.broken is not None:
        show_error(summary.broken)
        return summary.exit_code
    console = stdout()
    show_cost_table(console, By.MODEL, *cost_rows(summary.warehouse, By.MODEL))
    counts = Counter(dict(query(summary.warehouse, _COUNT_CLIPS)[1]))
    show_table(
        console,
        "Demo",
        ["", ""],
        [
            ("pictures", counts[Kind.IMAGE]),
            ("sounds", counts[Kind.AUDIO]),
            ("paid in this run", f"{format_usd(summary.paid)}, to the sandbox"),
            ("seconds", f"{summary.seconds:.1f}"),
            ("gallery", summary.gallery),
            ("warehouse", summary.warehouse),
        ],
    )
    if not summary.paid and not summary.tally.failures:
        say(console, "Nothing was paid: every clip was stored already.", "bold green")
    say(console, "Next: open the gallery in a browser, or run `make dev` for the Dagster UI.")
    return summary.exit_code
