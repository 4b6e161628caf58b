"""The rows of a CSV, TSV or JSON Lines file, each with the line it begins on, good or bad.

A bad row is yielded as what is wrong with it, and reading goes on at the next line: a stray quote
costs its own row, not the rest of the file.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

from pydantic import JsonValue

from asset_pipeline.config.suggestions import did_you_mean
from asset_pipeline.errors import AssetPipelineError

Cells: TypeAlias = Mapping[str, JsonValue]
"""A row's values by column."""

_Record: TypeAlias = tuple[int, list[str] | csv.Error]
_Quoting: TypeAlias = Literal[0, 3]  # csv.QUOTE_MINIMAL, csv.QUOTE_NONE


_MOST_LINES = 1_000_000  # kept in memory, some 100 bytes each

# Wide JSON takes thirty times its length in memory.
_LONGEST_OBJECT = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Row:
    """A row, and the line (from 1) it begins on: a quoted cell may run over several."""

    line: int
    cells: Cells


@dataclass(frozen=True, slots=True)
class BadRow:
    """What is wrong with the row that begins on a line."""

    line: int
    message: str


def check_size(text: str) -> None:
    """Refuse a table of more lines than are kept in memory.

    Raises:
        AssetPipelineError: It has more.
    """
    if text.count("\n") > _MOST_LINES:
        raise AssetPipelineError(
            f"The table has more than {_MOST_LINES:,} lines.",
            hint="Split it, and import each part.",
        )


def read_rows(text: str, suffix: str, columns: list[str]) -> Iterator[Row | BadRow]:
    """Yield the rows of a file; blank lines are passed over.

    Args:
        text: The file's whole text.
        suffix: Its form: ``.csv``, ``.tsv``, ``.jsonl`` or ``.ndjson``.
        columns: The columns that are read; a CSV or TSV file must have them all.

    Raises:
        AssetPipelineError: The form is none of these, or a column is missing.
    """
    match suffix.lower():
        case ".csv":
            return _table_rows(text, ",", csv.QUOTE_MINIMAL, columns)
        case ".tsv":
            return _table_rows(text, "\t", _tsv_quoting(text), columns)
        case ".jsonl" | ".ndjson":
            return _json_rows(text)
        case _:
            raise AssetPipelineError(
                f"A file that ends in {suffix or 'nothing'!r} cannot be imported.",
                hint="Import .csv, .tsv or .jsonl.",
            )


def _tsv_quoting(text: str) -> _Quoting:
    """Return whether quotes in a TSV are CSV's quotes, or characters like any other.

    Spreadsheets write the former, most other programs the latter, and nothing in the file says
    which. Plain text gives itself away: sooner or later a quoted word opens a cell without
    closing it.
    """
    records = _records(text, "\t", csv.QUOTE_MINIMAL)
    quoted = not any(isinstance(record, csv.Error) for _, record in records)
    return csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE


def _table_rows(
    text: str, delimiter: str, quoting: _Quoting, columns: list[str]
) -> Iterator[Row | BadRow]:
    records = _records(text, delimiter, quoting)
    first = next(records, (1, list[str]()))[1]
    if isinstance(first, csv.Error):
        raise AssetPipelineError(f"The header cannot be read: {first}.", hint="Correct line 1.")
    header = [name.strip() for name in first]
    for column in columns:
        if header.count(column) != 1:
            times = "no" if column not in header else "more than one"
            raise AssetPipelineError(
                f"There is {times} column {column!r}.", hint=did_you_mean(column, header)
            )
    return _rows_below(header, records)


def _rows_below(header: list[str], records: Iterator[_Record]) -> Iterator[Row | BadRow]:
    damaged = False
    for line, record in records:
        if isinstance(record, csv.Error):
            yield BadRow(line, f"it cannot be read: {record}.")
            damaged = True
            continue
        # Spreadsheets leave empty cells at a row's end out, or add some. Below a broken quote a
        # short row is refused all the same: it may be the tail of the broken cell.
        surplus = any(record[len(header) :])
        if surplus or (damaged and len(record) < len(header)):
            yield BadRow(line, f"it has {len(record)} columns; the header has {len(header)}.")
        else:
            yield Row(line, dict(zip(header, record, strict=False)))


def _records(text: str, delimiter: str, quoting: _Quoting) -> Iterator[_Record]:
    """Yield each record that is not blank, or why it cannot be read, with its first line.

    After an error reading begins anew on the line below the record's first: an opening quote that
    nothing closes would otherwise swallow good rows.
    """
    lines = list(io.StringIO(text, newline=""))
    base = 0
    while base < len(lines):
        rest = (lines[index] for index in range(base, len(lines)))
        reader = csv.reader(rest, delimiter=delimiter, quoting=quoting, strict=True)
        start = base
        try:
            for record in reader:
                if record:
                    yield start + 1, record
                start = base + reader.line_num
        except csv.Error as error:
            yield start + 1, error
            base = start + 1
        else:
            return


def _json_rows(text: str) -> Iterator[Row | BadRow]:
    # Not splitlines(): a JSON string may hold U+2028 and other line ends as they are.
    for line, written in enumerate(text.split("\n"), start=1):
        if not written.strip():
            continue
        if len(written) > _LONGEST_OBJECT:
            yield BadRow(line, f"it is longer than {_LONGEST_OBJECT:,} characters.")
            continue
        try:
            value: object = json.loads(written)
        except (ValueError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
            yield BadRow(line, f"it is not JSON: {reason}.")
            continue
        if isinstance(value, dict):
            yield Row(line, cast("Cells", value))
        else:
            yield BadRow(line, "it is not a JSON object.")
