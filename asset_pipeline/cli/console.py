"""What goes to the terminal: results to stdout, everything else to stderr, nothing as markup."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, is_dataclass
from datetime import date

from rich.console import Console
from rich.table import Table
from rich.text import Text

from asset_pipeline.errors import AssetPipelineError

# In a pipe Rich assumes 80 columns and cuts cells; a file has room for a sentence.
_PIPE_WIDTH = 160


def stdout() -> Console:
    """Return the console for results."""
    return _console(is_error=False)


def stderr() -> Console:
    """Return the console for progress, warnings and errors."""
    return _console(is_error=True)


def plain(text: object) -> str:
    """Return text that a terminal cannot take for a command: no escape or other control codes."""
    return "".join(
        c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in str(text)
    )


def say(console: Console, text: object, style: str = "") -> None:
    """Print one line that may hold anything a prompt or a provider wrote."""
    console.print(Text(plain(text), style=style), soft_wrap=True)


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
    table = Table(title=title or None, title_justify="left", title_style="bold")
    right = set(numbers)
    for column in columns:
        is_number = column in right
        table.add_column(
            column,
            justify="right" if is_number else "left",
            no_wrap=is_number,
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(Text("" if cell is None else plain(cell)) for cell in row))
    console.print(table)


def write_json(document: object) -> None:
    """Write one JSON document to stdout: money as decimal strings, times in ISO 8601."""
    text = json.dumps(document, ensure_ascii=False, indent=2, default=_jsonable)
    # Text that is no valid Unicode must not end the command half-way.
    sys.stdout.write(text.encode("utf-8", "backslashreplace").decode() + "\n")


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
