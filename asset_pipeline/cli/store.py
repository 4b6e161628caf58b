"""`store`: the place that clips are kept in."""

from __future__ import annotations

from typing import Annotated

import typer

from asset_pipeline.cli._options import AsJson

app = typer.Typer(
    help="The place that clips are kept in: make it private, or say that it is the right one.",
    no_args_is_help=True,
)


@app.callback()
def store() -> None:
    """The place that clips are kept in: make it private, or say that it is the right one."""


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


@app.command()
def adopt(
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say that ASSET_PIPELINE_STORE_URL is the store of this ledger from now on.

    Needed when a command says that store and ledger don't belong together and you know better: the
    clips were given up, or a new ledger is meant to begin beside clips of an old one, which are
    then paid for again where they are wanted. No clip is touched: the store's marker is written.
    """
    from asset_pipeline.cli.store_view import adopt_store  # noqa: PLC0415 -- as above

    raise typer.Exit(adopt_store(ask=not yes, as_json=as_json))
