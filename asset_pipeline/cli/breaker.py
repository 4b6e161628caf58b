"""`breaker`: which models are held back because they kept failing, and using one again."""

from __future__ import annotations

from typing import Annotated

import typer

from asset_pipeline.cli._options import AsJson

app = typer.Typer(help="Show the models' circuit breakers, and close one.", no_args_is_help=True)


@app.command("list")
def list_breakers(*, as_json: AsJson = False) -> None:
    """Show the breaker of every model that ever failed, and why."""
    # The ledger: `--help` does not wait for it. The same below.
    from asset_pipeline.cli.breaker_view import show_all  # noqa: PLC0415

    show_all(as_json=as_json)


@app.command()
def reset(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="owner/name, as in the catalog.")],
) -> None:
    """Close a model's breaker: its predictions are sent again at once, by running batches too."""
    from asset_pipeline.cli.breaker_view import reset_one  # noqa: PLC0415

    reset_one(model)
