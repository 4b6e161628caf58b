"""A cell of a table to the value that a prompt's field takes, or what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pydantic import JsonValue

from asset_pipeline.catalog.spec import InputSpec
from asset_pipeline.prompts.text import clean

_TRUE = frozenset(("true", "yes", "y", "1", "on", "x"))
_FALSE = frozenset(("false", "no", "n", "0", "off"))
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}(?:[.,]0+)?")
_NUMBER = re.compile(r"[-+]?(?:[0-9]{1,18}(?:[.,][0-9]{1,18})?|[.,][0-9]{1,18})(?:[eE][-+]?[0-9]{1,2})?")  # fmt: skip  # noqa: E501
_RATIO = re.compile(r"0*([0-9]{1,3})\s*[:x\u00d7/]\s*0*([0-9]{1,3})(?::00)?", re.IGNORECASE)
_SEPARATORS = re.compile(r"[,;|\n]+")


class CellError(ValueError):
    """A cell that cannot be the value it should be."""


def as_text(value: JsonValue) -> str:
    """Return a cell as text; numbers of JSON are written as they are.

    Raises:
        CellError: It is a list or an object.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    raise CellError(f"{value!r} is not text.")


def as_integer(value: JsonValue) -> int:
    """Return a cell as a whole number.

    Raises:
        CellError: It is none.
    """
    text = as_text(value).strip()
    if not _INTEGER.fullmatch(text):
        raise CellError(f"{text!r} is not a whole number.")
    return int(re.split("[.,]", text)[0])


def as_tags(value: JsonValue) -> list[str]:
    """Return the tags of a cell: apart by commas, semicolons, pipes or lines; a # is dropped.

    Raises:
        CellError: It is no text and no list of texts.
    """
    parts: Iterable[str] = (
        [as_text(item) for item in value]
        if isinstance(value, list)
        else _SEPARATORS.split(as_text(value))
    )
    tags = [clean(part).removeprefix("#").strip() for part in parts]
    return list(dict.fromkeys(tag for tag in tags if tag))


def as_input(value: JsonValue, spec: InputSpec) -> JsonValue:
    """Return a cell as a value of a model's input, read as the model's schema has it.

    What a schema would refuse is returned as it is: the check of inputs says it better.
    """
    if not isinstance(value, str):
        return value
    text = value.strip()
    match spec.type:
        case "integer" if _INTEGER.fullmatch(text):
            found: JsonValue = int(re.split("[.,]", text)[0])
        case "integer" | "number" if _NUMBER.fullmatch(text):
            number = float(text.replace(",", "."))
            found = int(number) if number.is_integer() and abs(number) < 2**53 else number
        case "boolean" if text.casefold() in _TRUE | _FALSE:
            found = text.casefold() in _TRUE
        case "string":
            found = clean(value)
        case _:
            found = text
    return _chosen(found, spec.choices) if spec.choices else found


def _chosen(value: JsonValue, choices: Iterable[JsonValue]) -> JsonValue:
    """Return the choice that was meant: without case, and 16x9 or the time 16:09 for 16:9."""
    text = str(value).strip()
    for choice in choices:
        if text.casefold() == str(choice).casefold():
            return choice
    # A spreadsheet takes 16:9 for a time of day and saves 16:09:00.
    if ratio := _RATIO.fullmatch(text):
        plain = f"{int(ratio[1])}:{int(ratio[2])}"
        return next((choice for choice in choices if choice == plain), value)
    return value
