"""JSON arrays and JSON Lines to rows: nothing that JSON would drop silently is dropped."""

from __future__ import annotations

import json
import math
from typing import TypeAlias, cast

from pydantic import JsonValue

from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.foreign.document import check_bounds

JsonRow: TypeAlias = tuple[int, "dict[str, JsonValue] | str"]
"""A row's line or number, and its values by name, or as a text what is wrong with it."""

# Wide JSON takes thirty times its length in memory.
_LONGEST_OBJECT = 1024 * 1024
# As many as a YAML file of prompts may hold: 100,000 prompts of a dozen columns.
_MOST_VALUES = 1_500_000
_LISTS = ("prompts", "items", "rows", "data", "records", "entries")


def read_json_lines(text: str) -> list[JsonRow]:
    """Return a row for each line that is not blank."""
    rows: list[JsonRow] = []
    # Not splitlines(): a JSON string may hold U+2028 and other line ends as they are.
    for line, written in enumerate(text.split("\n"), start=1):
        if not written.strip():
            continue
        if len(written) > _LONGEST_OBJECT:
            rows.append((line, f"it is longer than {_LONGEST_OBJECT:,} characters"))
            continue
        try:
            rows.append((line, _row(_parsed(written))))
        except (ValueError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
            rows.append((line, f"it is not JSON: {reason}"))
    return rows


def read_json(text: str) -> list[JsonRow]:
    """Return a row for each element of an array, numbered from 1.

    The array may stand alone or below a name such as ``prompts``; an object of texts or objects
    by id will do as well.

    Raises:
        AssetPipelineError: The file is no JSON, or holds no rows.
    """
    try:
        value = _parsed(text)
    except (ValueError, RecursionError) as error:
        where = f" on line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        raise AssetPipelineError(
            f"The file is not JSON{where}: {reason}.",
            hint="Give an array of objects, or name the form with --format jsonl.",
        ) from None
    if isinstance(value, dict):
        value = _listed(value)
    if not isinstance(value, list):
        raise AssetPipelineError(
            "The file holds no array of prompts.", hint='Write [{"id": "…", "text": "…"}, …].'
        )
    return [(number, _row(item)) for number, item in enumerate(value, start=1)]


def _listed(value: dict[str, JsonValue]) -> JsonValue:
    for name in _LISTS:
        if isinstance(value.get(name), list):
            return value[name]
    rows: list[JsonValue] = []
    for name, item in value.items():
        if isinstance(item, str):
            rows.append({"id": name, "text": item})
        elif isinstance(item, dict):
            rows.append({"id": name, **item})
        else:
            return None
    return rows


def _row(value: JsonValue) -> dict[str, JsonValue] | str:
    if isinstance(value, str):
        return {"text": value}
    if not isinstance(value, dict):
        return "it is not a JSON object"
    return value


def _parsed(text: str) -> JsonValue:
    """Return a value.

    Raises:
        ValueError: It is no JSON, too deep, or holds more values than anybody reads.
        RecursionError: It is deeper than Python reads.
    """
    check_bounds(text.encode(errors="surrogatepass"), _MOST_VALUES)
    return cast(
        "JsonValue",
        json.loads(text, object_pairs_hook=_object, parse_constant=_constant, parse_float=_float),
    )


def _object(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))
        raise ValueError(f"{twice!r} is given twice")
    return found


def _constant(name: str) -> JsonValue:
    raise ValueError(f"{name} is no value of JSON")


def _float(written: str) -> float:
    value = float(written)
    if not math.isfinite(value):
        raise ValueError(f"{written} is too large")
    return value
