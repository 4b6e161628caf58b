"""`serve` and `keys`: the flags; the service itself is loaded by nothing but these."""

from __future__ import annotations

from typing import Annotated

import typer

from asset_pipeline.cli._options import AsJson

PORT = 8484

app = typer.Typer(help="Keys to the service.", no_args_is_help=True)


def serve(
    host: Annotated[
        str, typer.Option("--host", help="Address; another than this machine's needs a key.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 for a free one.")] = PORT,
) -> None:
    """Serve the HTTP API and the page of clips until Ctrl-C.

    It pays nothing: Dagster's daemon makes runs of what is ordered here. `make dev` starts both.
    """
    # FastAPI and the ledger: `--help` does not wait for them.
    from asset_pipeline.cli._service import run_service  # noqa: PLC0415

    run_service(host, port)


@app.command()
def create(
    *,
    name: Annotated[str, typer.Argument(help="Whose it is, for people.")],
    scope: Annotated[
        list[str] | None,
        typer.Option("--scope", help="read, review, generate, admin; read if not given."),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option("--budget", metavar="USD", help="All that it may ever spend."),
    ] = None,
    rate: Annotated[
        int | None,
        typer.Option("--rate", min=1, max=1_000_000, help="Requests a minute."),
    ] = None,
    days: Annotated[
        int | None, typer.Option("--days", min=1, max=3650, help="Until it expires.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and show it once. With the first one, nobody comes in without a key."""
    from asset_pipeline.cli._service import create_key  # noqa: PLC0415 -- as above

    create_key(name, scope or ["read"], budget, rate, days, as_json=as_json)


@app.command("list")
def list_(*, as_json: AsJson = False) -> None:
    """List all keys, without their secrets."""
    from asset_pipeline.cli._service import list_keys  # noqa: PLC0415 -- as above

    list_keys(as_json=as_json)


@app.command()
def revoke(
    *,
    key_id: Annotated[str, typer.Argument(metavar="ID", help="As `keys list` shows it.")],
    as_json: AsJson = False,
) -> None:
    """Let a key, and the sessions opened with it, be good for nothing any more, at once."""
    from asset_pipeline.cli._service import revoke_key  # noqa: PLC0415 -- as above

    revoke_key(key_id, as_json=as_json)
