"""`instance`: Dagster's own memory, and bringing it back in line with ledger and store."""

from __future__ import annotations

from typing import Annotated

import typer

from asset_pipeline.cli._options import AsJson
from asset_pipeline.errors import ExitCode

app = typer.Typer(help="Bring Dagster's instance in line with the ledger.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep `repair` a command of its own name, though it is the only one."""


@app.command()
def repair(
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show in Dagster what the ledger knows, after one of the two was restored or lost.

    Partitions and observations are added for all prompts; clips that are paid for and stored show
    as landed, and clips that the ledger does not know show as failed. Nothing is paid for: a prompt
    that would cost anything is left as it is. Exit code 1 if a clip could not be shown.
    """
    # Dagster, two seconds of imports: `--help` does not wait for it.
    from asset_pipeline.cli._instance_repair import repair_instance, show_repair  # noqa: PLC0415

    report = repair_instance(dry_run=dry_run)
    show_repair(report, as_json=as_json)
    raise typer.Exit(ExitCode.SOME_FAILED if report.not_shown else ExitCode.DONE)
