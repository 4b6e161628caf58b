"""What goes to the terminal: results to stdout, everything else to stderr, nothing as markup."""

from __future__ import annotations

import csv
import json
import os
import re
import sys
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import asdict, is_dataclass
from datetime import date
from decimal import Decimal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from asset_pipeline.disclosure.process_redactor import redactor
from asset_pipeline.disclosure.redactor import Redactor
from asset_pipeline.disclosure.terminal import escaped_json, plain, without_commands
from asset_pipeline.errors import AssetPipelineError

# In a pipe Rich assumes 80 columns and cuts cells; a file has room for a sentence.
_PIPE_WIDTH = 160

# What spreadsheets begin a formula with, after spaces or tabs too; the last three are full-width.
_FORMULA = re.compile("[\\s]*[=+@\uff1d\uff0b\uff20\uff0d-]|[\\t\\r\\n]")


def stdout() -> Console:
    """Return the console for results."""
    return _console(is_error=False)


def stderr() -> Console:
    """Return the console for progress, warnings and errors."""
    return _console(is_error=True)


def say(console: Console, text: object, style: str = "") -> None:
    """Print one line that may hold anything a prompt or a provider wrote."""
    console.print(_told(text, redactor(), style), soft_wrap=True)


def say_link(console: Console, link: object) -> None:
    """Print a signed link whole: it is what was asked for, and useless without its query."""
    console.print(Text(plain(str(link))), soft_wrap=True)


def show_error(error: AssetPipelineError) -> None:
    """Print what is wrong in red and what to do about it below, to stderr."""
    console = stderr()
    say(console, error.message, "bold red")
    if error.hint:
        say(console, error.hint)


def show_table(
    console: Console,
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    numbers: Iterable[str] = (),
) -> None:
    """Print a table.

    Args:
        console: Where to.
        title: Above the table.
        columns: The headings.
        rows: Cells as text or values; None is an empty cell.
        numbers: The columns that are aligned to the right and never wrapped.
    """
    secrecy = redactor()
    # Headings are data too: a query names its columns as it likes.
    heading = _told(title, secrecy) if title else None
    table = Table(title=heading, title_justify="left", title_style="bold")
    right = set(numbers)
    for column in columns:
        is_number = column in right
        table.add_column(
            _told(column, secrecy),
            justify="right" if is_number else "left",
            no_wrap=is_number,
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(_told("" if cell is None else cell, secrecy) for cell in row))
    console.print(table)


def write_json(document: object, *, whole_links: bool = False) -> None:
    """Write one JSON document to stdout: money as decimal strings, times in ISO 8601.

    Args:
        document: What to write.
        whole_links: Leave signed links as they are, because they are what was asked for.
    """
    text = json.dumps(document, ensure_ascii=False, indent=2, default=_jsonable)
    text = escaped_json(text if whole_links else redactor().data(text))
    # Text that is no valid Unicode must not end the command half-way.
    sys.stdout.write(text.encode("utf-8", "backslashreplace").decode() + "\n")


def write_csv(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, for_spreadsheet: bool
) -> None:
    """Write rows as CSV to stdout.

    Args:
        columns: The headings.
        rows: Cells as values.
        for_spreadsheet: Put an apostrophe before text that a spreadsheet takes for a formula.
    """
    secrecy = redactor()

    def cell(value: object) -> object:
        if isinstance(value, int | float | Decimal) or value is None:
            return value
        text = without_commands(secrecy.data(str(value)))
        return f"'{text}" if for_spreadsheet and _FORMULA.match(text) else text

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([cell(column) for column in columns])
    writer.writerows([cell(value) for value in row] for row in rows)


def show_traceback(error: BaseException) -> None:
    """Print the traceback of an error that nobody expected, without secrets, to stderr."""
    text = redactor().text("".join(traceback.format_exception(error)))
    sys.stderr.write(without_commands(text))


def _told(text: object, secrecy: Redactor, style: str = "") -> Text:
    return Text(plain(secrecy.data(str(text))), style=style)


def _console(*, is_error: bool) -> Console:
    console = Console(stderr=is_error, highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _PIPE_WIDTH
    return console


def _jsonable(value: object) -> object:
    if isinstance(value, date):
        return value.isoformat()
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return str(value)
