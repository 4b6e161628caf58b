"""`costs`: what was charged, added up by day, model, collection or clip."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from asset_pipeline.cli._calls import show_unproved, unproved_calls
from asset_pipeline.cli._charges import show_charges
from asset_pipeline.cli._ledger import open_ledger, publish_if_older
from asset_pipeline.cli._options import AsJson
from asset_pipeline.cli._output import say, stdout, write_json
from asset_pipeline.cli.sql import objects, show_rows
from asset_pipeline.settings import load_settings
from asset_pipeline.warehouse.query import query


class By(StrEnum):
    """What costs are added up by."""

    DAY = "day"
    MODEL = "model"
    COLLECTION = "collection"
    CLIP = "clip"


_VIEWS = {
    By.DAY: "spend_by_day",
    By.MODEL: "spend_by_model",
    By.COLLECTION: "spend_by_collection",
    By.CLIP: "cost_per_clip",
}
# Of the view by clip: all attempts, whose sum is what was paid.
_AMOUNTS = ("charged_usd", "all_attempts_usd")


def costs(
    *,
    by: Annotated[By, typer.Option("--by", help="What to add up by.")] = By.MODEL,
    as_json: AsJson = False,
) -> None:
    """Show what was charged, from the warehouse, which is published first if it is behind."""
    settings = load_settings()
    with open_ledger(settings) as ledger:
        publish_if_older(settings, ledger)
        noted, unproved = ledger.noted_charges(), unproved_calls(ledger)
    columns, rows = cost_rows(settings.own_warehouse_path, by)
    if as_json:
        write_json(objects(columns, rows))
    else:
        show_cost_table(stdout(), by, columns, rows)
        show_charges(stdout(), noted)
        show_unproved(stdout(), unproved)


def show_cost_table(
    console: Console, by: By, columns: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    """Print the rows of a cost view and their sum."""
    amount = next(name for name in _AMOUNTS if name in columns)
    total = sum((row[columns.index(amount)] for row in rows), Decimal(0))
    show_rows(console, f"Costs by {by}", columns, rows)
    say(console, f"Charged in all: ${total:,f}", "bold")


def cost_rows(path: Path, by: By) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Return the rows of a cost view of a published file.

    Raises:
        WarehouseError: The file cannot be read.
    """
    return query(path, f"FROM {_VIEWS[by]}")
