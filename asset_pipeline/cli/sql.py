"""`sql`: questions to the published warehouse, read-only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any

import typer
from rich.console import Console

from asset_pipeline.cli._options import AsJson
from asset_pipeline.cli._output import say, show_table, stdout, write_csv, write_json
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.settings import Settings, load_settings
from asset_pipeline.warehouse.fixed_paths import is_undecided, point_to_own
from asset_pipeline.warehouse.query import query as run_query

# Rich lays a table out in memory; a person reads no more than this.
_ROWS_SHOWN = 1000


def sql(
    *,
    query: Annotated[
        str, typer.Argument(help='Such as "FROM spend_by_model"; SHOW TABLES lists what there is.')
    ],
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV on stdout.")] = False,
    for_spreadsheet: Annotated[
        bool,
        typer.Option(
            "--for-spreadsheet",
            help="With --csv: an apostrophe before text that a spreadsheet would run as a formula.",
        ),
    ] = False,
) -> None:
    """Ask the published warehouse in SQL, read-only; it shows what was last published."""
    if for_spreadsheet and not as_csv:
        raise AssetPipelineError(
            "--for-spreadsheet is a way to write CSV.", hint="Give --csv as well."
        )
    if as_json and as_csv:
        raise AssetPipelineError("--json and --csv exclude each other.", hint="Give one of them.")
    settings = load_settings()
    _show_own(settings)
    columns, rows = run_query(settings.own_warehouse_path, query)
    if as_json:
        write_json(objects(columns, rows))
    elif as_csv:
        write_csv(columns, rows, for_spreadsheet=for_spreadsheet)
    else:
        show_rows(stdout(), "", columns, rows)


def _show_own(settings: Settings) -> None:
    """Show what the provider in use has published, once its ledger is known to be its own.

    Raises:
        LedgerError: The ledger of a chosen URL is another provider's, or can't be opened.
    """
    if settings.chosen_ledger_url is None and not is_undecided(settings):
        point_to_own(settings)
        return
    # SQLAlchemy, which most queries do without: a ledger by its own URL is seldom.
    from asset_pipeline.cli._ledger import open_ledger  # noqa: PLC0415

    with open_ledger(settings):
        pass


def show_rows(
    console: Console, title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    """Print rows as a table, the first thousand of them."""
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


def objects(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
    """Return rows as objects for JSON."""
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
