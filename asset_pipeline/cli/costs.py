"""What `costs` and `sql` do: query the published DuckDB file and print the rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from rich.console import Console

from asset_pipeline.cli._output import say, show_table, stdout, write_csv, write_json
from asset_pipeline.cli.warehouse import By
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.settings import Settings, load_settings
from asset_pipeline.warehouse.fixed_paths import is_undecided, point_to_own
from asset_pipeline.warehouse.query import query

_VIEWS = {
    By.DAY: "spend_by_day",
    By.MODEL: "spend_by_model",
    By.COLLECTION: "spend_by_collection",
    By.CLIP: "cost_per_clip",
}
# Of the view by clip: all attempts, whose sum is what was paid.
_AMOUNTS = ("charged_usd", "all_attempts_usd")

# Rich lays a table out in memory; a person reads no more than this.
_ROWS_SHOWN = 1000


def show_costs(by: By, *, as_json: bool) -> None:
    """Print what was charged.

    Raises:
        AssetPipelineError: Ledger or warehouse cannot be read, or the latter not be written.
    """
    # The ledger and its SQLAlchemy, which `sql` mostly does without.
    from asset_pipeline.cli._calls import show_unproved, unproved_calls  # noqa: PLC0415
    from asset_pipeline.cli._charges import show_charges  # noqa: PLC0415
    from asset_pipeline.cli._ledger import open_ledger, publish_if_older  # noqa: PLC0415

    settings = load_settings()
    with open_ledger(settings) as ledger:
        publish_if_older(settings, ledger)
        noted, unproved = ledger.noted_charges(), unproved_calls(ledger)
    columns, rows = query(settings.own_warehouse_path, f"FROM {_VIEWS[by]}")
    if as_json:
        write_json(_objects(columns, rows))
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
    _show(console, f"Costs by {by}", columns, rows)
    say(console, f"Charged in all: ${total:,f}", "bold")


def show_query(sql: str, *, as_json: bool, as_csv: bool, for_spreadsheet: bool) -> None:
    """Print what a query returns.

    Raises:
        AssetPipelineError: The file is missing, busy, or the SQL is wrong.
    """
    if for_spreadsheet and not as_csv:
        raise AssetPipelineError(
            "--for-spreadsheet is a way to write CSV.", hint="Give --csv as well."
        )
    if as_json and as_csv:
        raise AssetPipelineError("--json and --csv exclude each other.", hint="Give one of them.")
    settings = load_settings()
    _show_own(settings)
    columns, rows = query(settings.own_warehouse_path, sql)
    if as_json:
        write_json(_objects(columns, rows))
    elif as_csv:
        write_csv(columns, rows, for_spreadsheet=for_spreadsheet)
    else:
        _show(stdout(), "", columns, rows)


def _show_own(settings: Settings) -> None:
    """Show what the provider in use has published, once its ledger is known to be its own.

    Raises:
        LedgerError: The ledger of a chosen URL is another provider's, or can't be opened.
    """
    if settings.chosen_ledger_url is None and not is_undecided(settings):
        point_to_own(settings)
        return
    from asset_pipeline.cli._ledger import open_ledger  # noqa: PLC0415 -- as above

    with open_ledger(settings):
        pass


def cost_rows(path: Path, by: By) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Return the rows of a cost view of a published file.

    Raises:
        WarehouseError: The file cannot be read.
    """
    return query(path, f"FROM {_VIEWS[by]}")


def _show(
    console: Console, title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    numbers = [
        name
        for at, name in enumerate(columns)
        if any(isinstance(row[at], int | float | Decimal) for row in rows[:1])
    ]
    show_table(console, title, columns, rows[:_ROWS_SHOWN], numbers=numbers)
    if len(rows) > _ROWS_SHOWN:
        say(
            console, f"... and {len(rows) - _ROWS_SHOWN:,} more rows: --csv or --json has them all."
        )


def _objects(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
    names = _apart(columns)
    return [dict(zip(names, map(_finite, row), strict=True)) for row in rows]


def _apart(columns: Sequence[str]) -> list[str]:
    """Return the columns' names, the second of a name as ``name_2``: an object has each once."""
    taken, names = set(columns), list[str]()
    for column in columns:
        name, number = column, 1
        while name in names or (number > 1 and name in taken):
            number += 1
            name = f"{column}_{number}"
        names.append(name)
    return names


def _finite(value: object) -> object:
    """Return None for the floats that JSON has no word for."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
