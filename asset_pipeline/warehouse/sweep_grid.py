"""A sweep's clips as a table by two of its axes, which the page lets people choose again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from pydantic import JsonValue


@dataclass(frozen=True, slots=True)
class SweepCell:
    """One clip of a sweep.

    Attributes:
        fields: Its value on each axis.
        card: Its markup.
    """

    fields: Mapping[str, JsonValue]
    card: str


def grid_markup(axes: Sequence[str], cells: Sequence[SweepCell]) -> str:
    """Return the table of a sweep: the first axis that varies down, the second across.

    Clips that the two axes do not tell apart stand in one field of the table.
    """
    values = {axis: _in_order([cell.fields.get(axis) for cell in cells]) for axis in axes}
    varied = [axis for axis in axes if len(values[axis]) > 1] or list(axes[:1])
    down, across = varied[0], varied[:2][-1]
    columns = values[across] if across != down else [None]
    head = "".join(f"<th>{_shown(value)}</th>" for value in columns)
    corner = escape(down) if across == down else f"{escape(down)} \\ {escape(across)}"
    rows: list[str] = []
    for value in values[down]:
        own = [cell for cell in cells if cell.fields.get(down) == value]
        fields = "".join(
            "<td>"
            + "".join(
                cell.card for cell in own if across == down or cell.fields.get(across) == column
            )
            + "</td>"
            for column in columns
        )
        rows.append(f"<tr><th>{_shown(value)}</th>{fields}</tr>\n")
    said = escape(json.dumps(list(axes), ensure_ascii=False))
    return (
        f'<div class="sweep" data-axes="{said}" data-down="{escape(down)}" '
        f'data-across="{escape(across)}"><table>\n<thead><tr><th>{corner}</th>{head}</tr></thead>\n'
        f"<tbody>\n{''.join(rows)}</tbody></table></div>\n"
    )


def fields_attribute(axes: Sequence[str], fields: Mapping[str, JsonValue]) -> str:
    """Return a clip's values as an attribute of its card, for the page to arrange it by."""
    said = json.dumps({axis: fields.get(axis) for axis in axes}, ensure_ascii=False)
    return f' data-fields="{escape(said)}"'


def _in_order(values: Sequence[JsonValue]) -> list[JsonValue]:
    """Return each value once: numbers by size, others as they come."""
    found = list({json.dumps(value): value for value in values}.values())
    numbers = [value for value in found if isinstance(value, int | float)]
    return [*sorted(numbers)] if len(numbers) == len(found) else found


def _shown(value: JsonValue) -> str:
    return "" if value is None else escape(value if isinstance(value, str) else json.dumps(value))
