"""What `breaker` does."""

from __future__ import annotations

from asset_pipeline.cli._health import breaker_fields, read_health, show_breakers
from asset_pipeline.cli._ledger import open_ledger
from asset_pipeline.cli._output import say, stdout, write_json
from asset_pipeline.clock import SystemClock
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.ledger.breakers import BreakerRepository
from asset_pipeline.ledger.schema import BreakerState
from asset_pipeline.settings import load_settings


def show_all(*, as_json: bool) -> None:
    """Print all breakers.

    Raises:
        AssetPipelineError: The ledger cannot be read.
    """
    with open_ledger(load_settings()) as ledger:
        health = read_health(ledger.engine)
    if as_json:
        write_json([breaker_fields(each) for each in health.breakers])
    elif health.breakers:
        show_breakers(stdout(), health.breakers, health.now)
    else:
        say(stdout(), "No model has ever failed: all breakers are closed.")


def reset_one(model: str) -> None:
    """Close a model's breaker.

    Raises:
        AssetPipelineError: It has none, or the ledger cannot be written.
    """
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
