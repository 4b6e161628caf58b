"""Text with separators (CSV, TSV, pipes and their relatives) to records.

A bad record becomes what is wrong with it, and reading goes on at the next line: a stray quote
costs its own row, not the rest of the file.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Literal, TypeAlias

from asset_pipeline.errors import AssetPipelineError

Record: TypeAlias = tuple[int, "list[str] | str"]
"""The line that a record begins on, and its cells, or as a text what is wrong with it."""

_Quoting: TypeAlias = Literal[0, 3]  # csv.QUOTE_MINIMAL, csv.QUOTE_NONE

_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "pipes"}
_WORDS = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}
_SEP = re.compile(r'"?sep=(.)"?\r?(?:\n|$)', re.IGNORECASE)
_SAMPLE = 200
_PROSE = 0.6
_HEAD = 20_000


def read_records(
    text: str, delimiter: str | None, suffix: str
) -> tuple[list[Record], str, list[str]]:
    """Return the records, the separator they were read with and what people should know of them.

    Raises:
        AssetPipelineError: The separator that was asked for is none.
    """
    first_line = 0
    told = _SEP.match(text)
    if told:
        # Excel's own line: it names the separator and is no row.
        text, first_line = text[told.end() :], 1
    wanted = delimiter_of(delimiter) if delimiter else told[1] if told else None
    chosen = wanted or _sniffed(text, suffix)
    quoting = _quoting(text, chosen)
    records = [(line + first_line, record) for line, record in _records(text, chosen, quoting)]
    notes = [f"separated by {_NAMES.get(chosen, repr(chosen))}"]
    if quoting == csv.QUOTE_NONE and '"' in text:
        notes.append("quotes are read as text")
    if quoting == csv.QUOTE_MINIMAL:
        notes.extend(_swallowed(text, records, chosen, first_line))
    return records, chosen, notes


def delimiter_of(written: str) -> str:
    r"""Return the separator that a person named: a character, ``tab`` or ``\t``.

    Raises:
        AssetPipelineError: It is none.
    """
    found = _WORDS.get(written.casefold(), written)
    if len(found) != 1 or found in '\r\n"':
        raise AssetPipelineError(
            f"{written!r} is no separator.", hint="Give one character, or 'tab'."
        )
    return found


def _sniffed(text: str, suffix: str) -> str:
    """Return the separator under which most records have the first one's width, above one."""
    first = "\t" if suffix in {".tsv", ".tab"} else ","
    sample = _head(text)
    best, best_score = first, (0.0, 0)
    for candidate in dict.fromkeys((first, *_NAMES)):
        widths = [
            len(record)
            for _, record in islice(
                _records(sample, candidate, _quoting(sample, candidate)), _SAMPLE
            )
            if not isinstance(record, str)
        ]
        if not widths or widths[0] < 2:  # noqa: PLR2004 -- one column is no separation
            continue
        alike = sum(width == widths[0] for width in widths) / len(widths)
        # Commas of prose vary from row to row and have a space behind them; separators do not.
        marks = max(1, sample.count(candidate))
        prose = sample.count(f"{candidate} ") / marks > _PROSE
        score = (round(alike / 2 if prose else alike, 1), widths[0])
        if score > best_score:
            best, best_score = candidate, score
    return best


def _head(text: str) -> str:
    return "".join(islice(io.StringIO(text, newline=""), _SAMPLE))


def _quoting(text: str, delimiter: str) -> _Quoting:
    """Return whether quotes are CSV's quotes, or characters like any other.

    Spreadsheets write the former, corpora and most other programs the latter, and nothing in a
    file says which. Plain text gives itself away: sooner or later a quoted word opens a cell
    without closing it, or a cell has swallowed what looks like a row.
    """
    if delimiter in ",;":
        return csv.QUOTE_MINIMAL
    records = list(_records(text, delimiter, csv.QUOTE_MINIMAL))
    if any(isinstance(record, str) for _, record in records):
        return csv.QUOTE_NONE
    return csv.QUOTE_NONE if _swallowed(text, records, delimiter, 0) else csv.QUOTE_MINIMAL


def _swallowed(text: str, records: list[Record], delimiter: str, first_line: int) -> list[str]:
    """Return a note of each record whose quoted cell holds lines that look like rows."""
    notes: list[str] = []
    lines: list[str] | None = None
    shapes: Counter[str] = Counter(
        _shape(record[0]) for _, record in records if not isinstance(record, str)
    )
    for line, record in records:
        if isinstance(record, str) or len(record) < 2:  # noqa: PLR2004 -- as above
            continue
        inside = sum(cell.count("\n") for cell in record)
        if not inside:
            continue
        lines = text.split("\n") if lines is None else lines
        below = lines[line - first_line : line - first_line + inside]
        if any(
            inner.count(delimiter) >= len(record) - 1
            and shapes[_shape(inner.partition(delimiter)[0])] > len(records) // 10
            and _shape(inner.partition(delimiter)[0]) == _shape(record[0])
            for inner in below
        ):
            notes.append(
                f"lines {line} to {line + inside} are one row, because a quote opens on line "
                f"{line} and closes on line {line + inside}: if that is wrong, correct the quotes"
            )
    return notes


def _shape(cell: str) -> str:
    """Return what a cell looks like: SP-001 and SP-27 are both A-9."""
    return re.sub(r"[0-9]+", "9", re.sub(r"[^\W\d_]+", "A", cell.strip()))


def _records(text: str, delimiter: str, quoting: _Quoting) -> Iterator[Record]:
    """Yield each record that is not blank, or why it cannot be read, with its first line.

    After an error reading begins anew on the line below the record's first: an opening quote that
    nothing closes would otherwise swallow good rows.
    """
    lines = list(io.StringIO(text, newline=""))
    base = 0
    head = text[:_HEAD]
    spaced = f'{delimiter} "' in head and f'{delimiter}"' not in head
    while base < len(lines):
        rest = (lines[index] for index in range(base, len(lines)))
        reader = csv.reader(
            rest, delimiter=delimiter, quoting=quoting, strict=True, skipinitialspace=spaced
        )
        start = base
        try:
            for record in reader:
                # A quoted nothing on a line of its own was written on purpose: it is no blank line.
                if record == [""] or any(cell.strip() for cell in record):
                    yield start + 1, record
                start = base + reader.line_num
        except csv.Error as error:
            yield start + 1, _said(error)
            base = start + 1
        else:
            return


def _said(error: csv.Error) -> str:
    """Return what is wrong with a row, in words for whoever corrects the file."""
    if "unexpected end" in str(error):
        return "a quote opens on this line and nothing closes it: close it, or write it twice"
    if "expected after" in str(error):
        return "text follows a closing quote: write a quote inside of a quoted cell twice"
    return f"it cannot be read: {error}"
