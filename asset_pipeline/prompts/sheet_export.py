"""Prompts to a table: the shape that an import takes, so that it comes back the same."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast

from asset_pipeline.prompts.columns import recognized

if TYPE_CHECKING:
    from pydantic import JsonValue

    from asset_pipeline.prompts.spec import Prompt

_FIRST = ("id", "text", "model", "variants", "style", "tags", "reference")
_FORMULA = re.compile("'*[=+@-]")
_ESCAPE = re.compile("_(?=x[0-9A-F]{4}_)")


def prompt_rows(prompts: Iterable[Prompt]) -> tuple[list[str], list[list[str]]]:
    """Return the columns and a row for each prompt; columns that no prompt fills are left out.

    A field keeps its own name for a column, unless an import would take that for something else.
    """
    rows: list[dict[str, str]] = []
    inputs: dict[str, None] = {}
    fields: dict[str, None] = {}
    for prompt in prompts:
        row = {
            "id": prompt.prompt_id,
            "text": prompt.text,
            "model": prompt.model,
            "variants": str(prompt.variants),
            "style": prompt.style,
            "tags": ", ".join(prompt.tags),
            "reference": prompt.reference or "",
        }
        for name, value in prompt.inputs.items():
            row[f"inputs.{name}"] = _cell(value)
            inputs[f"inputs.{name}"] = None
        for name, value in prompt.fields.items():
            column = f"fields.{name}" if _is_taken(name) else name
            row[column] = _cell(value)
            fields[column] = None
        rows.append(row)
    used = [name for name in _FIRST if name in {"id", "text"} or any(row[name] for row in rows)]
    columns = [*used, *inputs, *fields]
    return columns, [[row.get(name, "") for name in columns] for row in rows]


def as_csv(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table as CSV with a byte order mark, without which Excel garbles letters.

    A cell that a spreadsheet would take for a formula gets an apostrophe in front, which an import
    takes off again.
    """
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(columns)
    writer.writerows([_guarded(cell) for cell in row] for row in rows)
    return "\ufeff" + table.getvalue()


def as_xlsx(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    """Return a table as an Excel workbook of one sheet, every cell text."""
    # Half a second of imports, for this one form of table.
    from openpyxl import Workbook  # noqa: PLC0415
    from openpyxl.cell import WriteOnlyCell  # noqa: PLC0415 -- as above

    book: Any = Workbook(write_only=True)
    sheet: Any = book.create_sheet("prompts")
    sheet.freeze_panes = "A2"

    def cell(value: str) -> Any:  # noqa: ANN401 -- the library's own, untyped
        made = cast("Any", WriteOnlyCell)(sheet, value=_ESCAPE.sub("_x005F_", _guarded(value)))
        # Never a formula or a number, whatever it looks like.
        made.data_type = "s"
        return made

    sheet.append([cell(name) for name in columns])
    for row in rows:
        sheet.append([cell(value) if value else None for value in row])
    written = io.BytesIO()
    book.save(written)
    return written.getvalue()


def _is_taken(name: str) -> bool:
    return (
        recognized(name) is not None or name != " ".join(name.split()) or name.casefold() in _FIRST
    )


def _guarded(cell: str) -> str:
    return f"'{cell}" if _FORMULA.match(cell) else cell


def _cell(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
