"""`breaker`: which models are held back because they kept failing, and using one again."""

from __future__ import annotations

from typing import Annotated

import typer

from asset_pipeline.cli._health import breaker_fields, read_health, show_breakers
from asset_pipeline.cli._ledger import open_ledger
from asset_pipeline.cli._options import AsJson
from asset_pipeline.cli._output import say, stdout, write_json
from asset_pipeline.clock import SystemClock
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.ledger.breakers import BreakerRepository
from asset_pipeline.ledger.schema import BreakerState
from asset_pipeline.settings import load_settings

app = typer.Typer(help="Show the models' circuit breakers, and close one.", no_args_is_help=True)


@app.command("list")
def list_breakers(*, as_json: AsJson = False) -> None:
    """Show the breaker of every model that ever failed, and why."""
    with open_ledger(load_settings()) as ledger:
        health = read_health(ledger.engine)
    if as_json:
        write_json([breaker_fields(each) for each in health.breakers])
    elif health.breakers:
        show_breakers(stdout(), health.breakers, health.now)
    else:
        say(stdout(), "No model has ever failed: all breakers are closed.")


@app.command()
def reset(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="owner/name, as in the catalog.")],
) -> None:
    """Close a model's breaker: its predictions are sent again at once, by running batches too."""
    with open_ledger(load_settings()) as ledger:
        book = BreakerRepository(ledger.engine, SystemClock())
        known = book.all()
        if book.reset(model) is None:
            models = ", ".join(known)
            raise AssetPipelineError(
                f"{model!r} has no breaker: it never failed.",
                hint=f"These have one: {models}." if models else "No model has one yet.",
            )
    if known[model].state is BreakerState.CLOSED:
        say(stdout(), f"The breaker of {model} was closed; its failures are forgotten.")
    else:
        say(stdout(), f"The breaker of {model} is closed: it is used again at once.")
