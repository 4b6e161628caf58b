"""`costs` and `sql`: questions to the published warehouse."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from asset_pipeline.cli._options import AsJson


class By(StrEnum):
    """What costs are added up by."""

    DAY = "day"
    MODEL = "model"
    COLLECTION = "collection"
    CLIP = "clip"


def costs(
    *,
    by: Annotated[By, typer.Option("--by", help="What to add up by.")] = By.MODEL,
    as_json: AsJson = False,
) -> None:
    """Show what was charged, from the warehouse, which is published first if it is behind."""
    # DuckDB and the ledger: `--help` does not wait for them.
    from asset_pipeline.cli.costs import show_costs  # noqa: PLC0415

    show_costs(by, as_json=as_json)


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
    from asset_pipeline.cli.costs import show_query  # noqa: PLC0415 -- as above

    show_query(query, as_json=as_json, as_csv=as_csv, for_spreadsheet=for_spreadsheet)
