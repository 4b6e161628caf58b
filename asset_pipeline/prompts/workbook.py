"""An Excel workbook (.xlsx) to the records of one of its sheets.

A workbook is a zip of XML files from a stranger, so it is bounded before the library sees it: how
many files, how many bytes they unpack to, and no document type, which entities come with.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any, cast

from asset_pipeline.errors import AssetPipelineError

if TYPE_CHECKING:
    from asset_pipeline.prompts.delimited import Record

_MAX_MEMBERS = 2_000
_MAX_UNPACKED = 256 * 2**20
_MAX_COLUMNS = 500
_BLOCK = 2**16
_DOCTYPES = tuple("<!DOCTYPE".encode(codec) for codec in ("utf-8", "utf-16-le", "utf-16-be"))
_OVERLAP = max(map(len, _DOCTYPES)) - 1
_ERRORS = frozenset(
    ("#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NUM!", "#NULL!", "#SPILL!", "#CALC!")
)
_ESCAPED = re.compile("_x([0-9A-F]{4})_")
_ZEROS = re.compile("0+")


@dataclass(slots=True)
class Sheet:
    """The records of a sheet, with the number of each row, and what people should know of them."""

    records: list[Record] = field(default_factory=list["Record"])
    notes: list[str] = field(default_factory=list[str])


def read_sheet(data: bytes, name: str | None) -> Sheet:
    """Return a sheet: the named one, else the first visible one that holds anything.

    Raises:
        AssetPipelineError: It is no workbook, is too large, or has no such sheet.
    """
    traits = _inspect(data)
    # Half a second of imports, for this one form of table.
    from openpyxl import load_workbook  # noqa: PLC0415

    try:
        book = cast("Any", load_workbook)(
            io.BytesIO(data), read_only=True, data_only=True, keep_links=False
        )
        chosen, notes = _choose(book, name)
        sheet = Sheet(_records(chosen), notes)
        if traits.formulas:
            formulas = cast("Any", load_workbook)(
                io.BytesIO(data), read_only=True, data_only=False, keep_links=False
            )
            _refuse_unvalued(sheet, formulas[chosen.title])
    except AssetPipelineError:
        raise
    except Exception as error:
        # The library raises whatever its parts do at a damaged file.
        raise AssetPipelineError(
            f"The workbook cannot be read: {type(error).__name__}: {error}.",
            hint="Save it again as .xlsx, or as CSV.",
        ) from error
    if traits.merged:
        sheet.notes.append("cells are merged: only the first of each group holds the value")
    return sheet


@dataclass(slots=True)
class _Traits:
    formulas: bool = False
    merged: bool = False


def _inspect(data: bytes) -> _Traits:
    """Unpack everything once, keeping nothing, to know that it is safe to.

    Raises:
        AssetPipelineError: It is no zip, or one that must not be unpacked.
    """
    traits, left = _Traits(), _MAX_UNPACKED
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            if len(members) > _MAX_MEMBERS:
                raise AssetPipelineError("The workbook holds too many files.")
            for member in members:
                if member.file_size > left:
                    raise _too_large()
                is_sheet = member.filename.startswith("xl/worksheets/")
                tail = b""
                with archive.open(member) as file:
                    while block := file.read(_BLOCK):
                        left -= len(block)
                        if left < 0:
                            raise _too_large()
                        window = tail + block
                        if any(mark in window for mark in _DOCTYPES) and _is_xml(member.filename):
                            raise AssetPipelineError(
                                "The workbook holds a document type, which none needs.",
                                hint="Save it again with a spreadsheet program.",
                            )
                        if is_sheet:
                            traits.formulas |= b"<f>" in window or b"<f " in window
                            traits.merged |= b"<mergeCell " in window
                        tail = window[-_OVERLAP:]
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
        old = data.startswith(b"\xd0\xcf\x11\xe0")
        raise AssetPipelineError(
            "This is no .xlsx workbook"
            + (": it is an old .xls, or has a password." if old else f": {error}."),
            hint="Save it as .xlsx without a password, or as CSV.",
        ) from error
    except zlib.error as error:
        raise AssetPipelineError(
            f"The workbook is damaged: {error}.", hint="Save it again."
        ) from error
    return traits


def _too_large() -> AssetPipelineError:
    return AssetPipelineError(
        f"The workbook unpacks to over {_MAX_UNPACKED // 2**20} MiB.",
        hint="Save the sheet as CSV, or split it.",
    )


def _is_xml(name: str) -> bool:
    return name.lower().endswith((".xml", ".rels", ".vml"))


def _choose(book: Any, name: str | None) -> tuple[Any, list[str]]:  # noqa: ANN401 -- the library is untyped
    sheets = list(book.worksheets)
    titles = [str(sheet.title) for sheet in sheets]
    if name is not None:
        for sheet, title in zip(sheets, titles, strict=True):
            if name.casefold() == title.casefold() or name == str(titles.index(title) + 1):
                return sheet, [f"sheet {title!r}"]
        raise AssetPipelineError(
            f"There is no sheet {name!r}.", hint=f"There are: {', '.join(titles)}."
        )
    visible = [it for it in sheets if it.sheet_state == "visible"]
    for sheet in visible:
        if any(any(cell is not None for cell in row) for row in sheet.iter_rows(
            max_row=1_000, max_col=_MAX_COLUMNS, values_only=True)):  # fmt: skip
            others = [title for title in titles if title != sheet.title]
            rest = f"; not read: {', '.join(map(repr, others))} (choose with --sheet)"
            return sheet, [f"sheet {sheet.title!r}{rest if others else ''}"]
    raise AssetPipelineError("The workbook holds no row.", hint="Choose a sheet with --sheet.")


def _records(sheet: Any) -> list[Record]:  # noqa: ANN401 -- as above
    records: list[Record] = []
    for number, row in enumerate(_rows(sheet), start=1):
        cells = [_text(cell) for cell in row]
        while cells and not cells[-1]:
            cells.pop()
        if cells:
            records.append((number, cells))
    return records


def _rows(sheet: Any) -> Iterator[Any]:  # noqa: ANN401 -- as above
    for row in sheet.iter_rows():
        if len(row) > _MAX_COLUMNS and any(cell.value is not None for cell in row[_MAX_COLUMNS:]):
            raise AssetPipelineError(
                f"The sheet has more than {_MAX_COLUMNS} columns.", hint="Delete those not needed."
            )
        yield row[:_MAX_COLUMNS]


def _text(cell: Any) -> str:  # noqa: ANN401, PLR0911 -- as above; one return a type
    """Return a cell's value as the text a person reads in the sheet."""
    match cell.value:
        case None:
            return ""
        case bool(value):
            return "TRUE" if value else "FALSE"
        case float(value) if value.is_integer() and abs(value) < 2**53:
            return _number(int(value), cell)
        case int(value):
            return _number(value, cell)
        case float(value):
            return repr(value)
        case datetime() as moment:
            plain = moment.time() == time() and not moment.microsecond
            return moment.date().isoformat() if plain else moment.isoformat(sep=" ")
        case date() | time() as value:
            return value.isoformat()
        case value:
            # What XML cannot hold, and a carriage return, is written as its number.
            return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), str(value))


def _number(value: int, cell: Any) -> str:  # noqa: ANN401 -- as above
    shape = str(cell.number_format or "")
    # "00000" shows 42 as 00042, which is how people write their ids.
    return str(value).zfill(len(shape)) if _ZEROS.fullmatch(shape) else str(value)


def is_error(cell: str) -> bool:
    """Tell whether a cell holds a spreadsheet's error in place of a value."""
    return cell in _ERRORS


def _refuse_unvalued(sheet: Sheet, formulas: Any) -> None:  # noqa: ANN401 -- as above
    """Replace the rows in which a formula has no stored value by what is wrong with them."""
    unvalued: dict[int, str] = {}
    known = dict(sheet.records)
    for number, row in enumerate(formulas.iter_rows(max_col=_MAX_COLUMNS), start=1):
        for index, cell in enumerate(row):
            if cell.data_type != "f":
                continue
            cells = known.get(number, [])
            if isinstance(cells, list) and index < len(cells) and cells[index]:
                continue
            if _is_empty_text(cell.value):
                continue
            unvalued.setdefault(number, str(cell.coordinate))
    for number, place in unvalued.items():
        known[number] = (
            f"the formula in {place} has no stored value: open the workbook in a spreadsheet "
            "program and save it"
        )
    sheet.records = sorted(known.items())


def _is_empty_text(formula: object) -> bool:
    # =IF(A2="","",...) has an empty text for its value, which is stored as no value at all.
    return '""' in str(formula)
