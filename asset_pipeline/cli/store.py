"""`store`: the place that clips are kept in."""

from __future__ import annotations

from typing import Annotated

import typer

from asset_pipeline.cli.options import AsJson

app = typer.Typer(help="Make the place that clips are kept in private.", no_args_is_help=True)


@app.callback()
def store() -> None:
    """Make the place that clips are kept in private."""


@app.command()
def harden(
    *,
    versioning: Annotated[
        bool, typer.Option("--versioning", help="Keep deleted and replaced objects as versions.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Close the bucket to the public, tidy it by itself, and say what the server can't do.

    Public access is blocked, access lists are off, objects encrypted; unfinished uploads end after
    a day; pages such as the gallery may read what signed links serve. What holds already is left
    alone. Needs the rights of whoever administers the bucket. Exit code 2 if a rule does not hold.
    """
    # Dagster and the cloud's library: `--help` does not wait for them.
    from asset_pipeline.cli.store_view import harden_store  # noqa: PLC0415

    raise typer.Exit(harden_store(versioning=versioning, as_json=as_json))
