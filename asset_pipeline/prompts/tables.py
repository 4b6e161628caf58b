"""A table of any form to rows of named cells, each with its line, good or bad."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from pydantic import JsonValue

from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.prompts.columns import is_header, recognized
from asset_pipeline.prompts.delimited import Record, read_records
from asset_pipeline.prompts.encodings import decode
from asset_pipeline.prompts.json_rows import JsonRow, read_json, read_json_lines
from asset_pipeline.prompts.workbook import read_sheet

Cells: TypeAlias = Mapping[str, JsonValue]
"""A row's values by column."""

FORMS = ("lines", "csv", "tsv", "xlsx", "json", "jsonl")
"""The forms of a table."""

_BY_SUFFIX = {
    ".csv": "csv",
    ".psv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".xlsx": "xlsx",
    ".xlsm": "xlsx",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".txt": "text",
    ".text": "text",
    ".lst": "text",
    "": "text",
}
_HEADER_WITHIN = 10
_SAMPLE = 200
_MOST_LINES = 1_000_000  # kept in memory, some 100 bytes each


@dataclass(frozen=True, slots=True)
class Form:
    """How a table is to be read; what is None is told from the file.

    Attributes:
        name: One of :data:`FORMS`.
        sheet: A workbook's sheet, by name or position.
        header: Whether the first row names the columns.
        naming: Columns that the caller named, by which a header is recognized too.
    """

    name: str | None = None
    sheet: str | None = None
    delimiter: str | None = None
    encoding: str | None = None
    header: bool | None = None
    naming: tuple[str, ...] = ()


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


@dataclass(slots=True)
class Table:
    """What a file holds.

    Attributes:
        names: The columns, in order.
        rows: The rows that are not blank.
        notes: How it was read, for people.
        samples: For a table without a header, some cells by column, to guess what they are.
    """

    names: list[str] = field(default_factory=list[str])
    rows: list[Row | BadRow] = field(default_factory=list["Row | BadRow"])
    notes: list[str] = field(default_factory=list[str])
    samples: dict[str, list[str]] | None = None


def read_table(data: bytes, suffix: str, form: Form) -> Table:
    """Return the table that a file holds.

    Args:
        data: The whole file.
        suffix: Its name's ending, which tells the form where none is asked for.
        form: How to read it.

    Raises:
        AssetPipelineError: Nothing can be read of it as that form.
    """
    name = form.name or _BY_SUFFIX.get(suffix.lower())
    if data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")) and form.name is None:
        name = "xlsx"  # whatever it is called
    if name is None or name not in {*FORMS, "text"}:
        raise AssetPipelineError(
            f"A file that ends in {suffix or 'nothing'!r} cannot be imported.",
            hint="Import .csv, .tsv, .xlsx, .json, .jsonl or .txt, or name the form with --format.",
        )
    if name == "xlsx":
        sheet = read_sheet(data, form.sheet)
        return _with_header(sheet.records, form, sheet.notes)
    text, encoding = decode(data, form.encoding)
    if text.count("\n") > _MOST_LINES:
        raise AssetPipelineError(
            f"The table has more than {_MOST_LINES:,} lines.",
            hint="Split it, and import each part.",
        )
    notes = [f"read as {encoding}"]
    match name:
        case "json":
            return _of_objects(read_json(text), notes)
        case "jsonl":
            return _of_objects(read_json_lines(text), notes)
        case "lines":
            return _lines(text, notes)
        case "text" if form.delimiter is None and not _is_separated(text):
            return _lines(text, notes)
        case _:
            ending = f".{form.name}" if form.name else suffix.lower()
            records, _, told = read_records(text, form.delimiter, ending)
            return _with_header(records, form, [*notes, *told])


def _lines(text: str, notes: list[str]) -> Table:
    rows: list[Row | BadRow] = [
        Row(number, {"text": line.rstrip("\r")})
        for number, line in enumerate(text.split("\n"), start=1)
        if line.strip()
    ]
    return Table(["text"], rows, [*notes, "a prompt a line"])


def _is_separated(text: str) -> bool:
    """Tell whether a plain text file is a table: each line has as many tabs, or pipes."""
    lines = [line for line in text.split("\n")[:_SAMPLE] if line.strip()]
    return any(
        len(counts := {line.count(mark) for line in lines}) == 1 and counts != {0} for mark in "\t|"
    )


def _of_objects(rows: Sequence[JsonRow], notes: list[str]) -> Table:
    rows = _named(rows)
    names: dict[str, None] = {}
    for _, row in rows:
        if isinstance(row, dict):
            names.update(dict.fromkeys(row))
    if not any(recognized(name) == "text" for name in names):
        rows = [(line, _flat(row) if isinstance(row, dict) else row) for line, row in rows]
        names = dict.fromkeys(name for _, row in rows if isinstance(row, dict) for name in row)
    return Table(
        list(names) or ["text"],
        [
            Row(line, row) if isinstance(row, dict) else BadRow(line, f"{row}.")
            for line, row in rows
        ],
        notes,
    )


def _named(rows: Sequence[JsonRow]) -> Sequence[JsonRow]:
    """Put plain texts among objects under the name that the objects have for theirs."""
    named = [
        name
        for _, row in rows
        if isinstance(row, dict) and row.keys() != {"text"}
        for name in row
        if recognized(name) == "text"
    ]
    if not named or "text" in named:
        return rows
    return [
        (line, {named[0]: row["text"]})
        if isinstance(row, dict) and row.keys() == {"text"}
        else (line, row)
        for line, row in rows
    ]


def _flat(row: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Return a row with its nested values one level up, as ``outer.inner``."""
    found: dict[str, JsonValue] = {}
    for name, value in row.items():
        if isinstance(value, dict) and name != "inputs":
            found.update({f"{name}.{inner}": it for inner, it in value.items()})
        else:
            found[name] = value
    return found


def _with_header(records: list[Record], form: Form, notes: list[str]) -> Table:
    at = _header_at(records, form)
    if at is None:
        return _below(_positions(records), records, notes, headless=True)
    above = records[:at]
    if above:
        first = above[0][1]
        said = first if isinstance(first, str) else " ".join(filter(None, first))
        first_line, last_line = above[0][0], above[-1][0]
        many = (
            f"lines {first_line} to {last_line} stand"
            if len(above) > 1
            else f"line {first_line} stands"
        )
        notes = [*notes, f"{many} above the header and no prompt is made of it: {said[:60]!r}"]
    names = records[at][1]
    if isinstance(names, str):
        raise AssetPipelineError(
            f"The header cannot be read: {names}.", hint=f"Correct line {records[at][0]}."
        )
    unique = _unique(names)
    doubled = [
        new
        for new, old in zip(unique, names, strict=False)
        if old.strip() and new != " ".join(old.split())
    ]
    if doubled:
        notes = [*notes, f"of equal names the later are called {', '.join(map(repr, doubled))}"]
    return _below(unique, records[at + 1 :], notes, headless=False)


def _header_at(records: list[Record], form: Form) -> int | None:
    """Return which record names the columns, or None when none does."""
    if form.header is False:
        return None
    if not records:
        raise AssetPipelineError("The file holds no row.", hint="Is it the right file, or sheet?")
    if isinstance(records[0][1], str) and form.header is None:
        raise AssetPipelineError(
            f"The header cannot be read: {records[0][1]}.",
            hint=f"Correct line {records[0][0]}, or give --no-header.",
        )
    for index, (_, record) in enumerate(records[:_HEADER_WITHIN]):
        if not isinstance(record, str) and is_header(record, form.naming):
            return index
    return 0 if form.header or not _looks_headless(records) else None


def _looks_headless(records: list[Record]) -> bool:
    """Tell whether the first record is a row: a name of a column is short, and no sentence."""
    first = records[0][1]
    if isinstance(first, str):
        return False
    cells = [cell.strip() for cell in first if cell.strip()]
    return any(
        len(cell) > 40 or len(cell.split()) > 4 or cell.endswith((".", "!", "?"))  # noqa: PLR2004 -- longer than a heading
        for cell in cells
    )


def _positions(records: list[Record]) -> list[str]:
    width = max((len(it) for _, it in records if not isinstance(it, str)), default=1)
    return [f"column {number}" for number in range(1, width + 1)]


def _unique(written: list[str]) -> list[str]:
    """Return names of which no two are equal and none is empty."""
    names: list[str] = []
    last = max((index for index, name in enumerate(written) if name.strip()), default=-1)
    for index, name in enumerate(written[: last + 1]):
        plain = " ".join(name.split()) or f"column {index + 1}"
        candidate, count = plain, 2
        while candidate in names:
            candidate, count = f"{plain} {count}", count + 1
        names.append(candidate)
    return names


def _below(names: list[str], records: list[Record], notes: list[str], *, headless: bool) -> Table:
    rows: list[Row | BadRow] = []
    damaged = False
    used: set[str] = set()
    for line, record in records:
        if isinstance(record, str):
            rows.append(BadRow(line, f"{record}."))
            damaged = True
            continue
        # Spreadsheets leave empty cells at a row's end out, or add some. Below a broken quote a
        # short row is refused all the same: it may be the tail of the broken cell.
        surplus = any(cell.strip() for cell in record[len(names) :])
        if surplus or (damaged and len(record) < len(names)):
            rows.append(BadRow(line, f"it has {len(record)} columns; the header has {len(names)}."))
            continue
        cells = {name: cell for name, cell in zip(names, record, strict=False) if cell.strip()}
        if cells or record == [""]:
            used.update(cells)
            rows.append(Row(line, cells))
    unused = [name for name in names if name not in used]
    if unused and rows:
        notes = [*notes, f"empty in every row: {', '.join(unused)}"]
    samples = None
    if headless:
        notes = [*notes, "without a header"]
        good = [row for row in rows[:_SAMPLE] if isinstance(row, Row)]
        samples = {
            name: [str(row.cells.get(name, "")) for row in good] for name in names if name in used
        }
    return Table(names, rows, notes, samples)
