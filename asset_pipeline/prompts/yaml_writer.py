"""A collection to YAML that people like to read and that reads back to the same texts.

Written here and not by PyYAML: its dumper takes 4 s for 10,000 prompts, and this 0.2 s.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

import yaml
from pydantic import JsonValue

from asset_pipeline.config.yaml_source import plain_value
from asset_pipeline.prompts.resolver import Collection
from asset_pipeline.prompts.spec import PromptEntry

# Letters, digits and what is no indicator; a colon or a # only where YAML sees none in it.
_PLAIN = re.compile(r"(?:[^\W_]|[(/.$+_-])(?:[^\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff:#\\]|:(?=[^\s])|(?<=[^\s])#)*")  # fmt: skip  # noqa: E501
_PLAIN_IN_FLOW = re.compile(r"[^\W_](?:[^\W]|[ ._/+-])*")
_BLOCK_LINE = re.compile(r"(?:[^\s\x00-\x1f\x7f-\x9f\ufeff].*)?")
_UNSEEN = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff\ufffe\uffff]")
_RESOLVERS = cast(
    "dict[str, list[tuple[str, re.Pattern[str]]]]", yaml.SafeLoader.yaml_implicit_resolvers
)


def collection_yaml(collection: Collection, entries: Sequence[PromptEntry]) -> str:
    """Return a collection file in block style; fields that say nothing are left out."""
    document: dict[str, JsonValue] = {"collection": collection.name}
    defaults = collection.defaults.model_dump(exclude_defaults=True)
    if defaults:
        document["defaults"] = defaults
    document["prompts"] = [entry.model_dump(exclude_defaults=True) for entry in entries]
    return readable_yaml(document)


def readable_yaml(document: Mapping[str, JsonValue]) -> str:
    """Return a document in block style, its texts quoted only where they would read back wrong."""
    return "\n".join(_fields(document, "")) + "\n"


def entry_yaml(entry: PromptEntry, indent: str = "  ") -> str:
    """Return the lines of one prompt below ``prompts:``."""
    return "\n".join(_item(entry.model_dump(exclude_defaults=True), indent))


def _item(values: Mapping[str, JsonValue], indent: str) -> Iterator[str]:
    written = list(_fields(values, f"{indent}  "))
    yield f"{indent}- {written[0].lstrip()}"
    yield from written[1:]


def _fields(values: Mapping[str, JsonValue], indent: str) -> Iterator[str]:
    for name, value in values.items():
        key = _scalar(name, indent, may_block=False)
        if isinstance(value, dict) and value:
            yield f"{indent}{key}:"
            yield from _fields(value, f"{indent}  ")
        elif isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
            yield f"{indent}{key}:"
            for each in cast("list[dict[str, JsonValue]]", value):
                yield from _item(each, f"{indent}  ")
        elif isinstance(value, str):
            yield f"{indent}{key}: {_scalar(value, indent)}"
        else:
            yield f"{indent}{key}: {_flow(value)}"


def _flow(value: JsonValue) -> str:
    """Return a value on one line."""
    match value:
        case str():
            is_plain = _PLAIN_IN_FLOW.fullmatch(value) and not value.endswith(" ")
            return value if is_plain and _means_itself(value) else _quoted(value)
        case list():
            return f"[{', '.join(map(_flow, value))}]"
        case dict():
            pairs = (f"{_quoted(name)}: {_flow(item)}" for name, item in value.items())
            return f"{{{', '.join(pairs)}}}"
        case float() if "e" in repr(value):
            return _exponent(value)
        case _:
            return json.dumps(value)


def _exponent(value: float) -> str:
    # YAML 1.1 takes 1e-05 for text: it wants a point and a sign.
    mantissa, _, exponent = repr(value).partition("e")
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}e{int(exponent):+03d}"


def _scalar(text: str, indent: str, *, may_block: bool = True) -> str:
    if _PLAIN.fullmatch(text) and text == text.strip() and _means_itself(text):
        return text
    lines = text.split("\n")
    if may_block and len(lines) > 1 and lines[0] and lines[-1] and all(map(_stands, lines)):
        return "\n".join(("|-", *(f"{indent}  {line}" if line else "" for line in lines)))
    return _quoted(text)


def _stands(line: str) -> bool:
    return _BLOCK_LINE.fullmatch(line) is not None and _UNSEEN.search(line) is None


def _means_itself(text: str) -> bool:
    """Tell whether an unquoted text is that text for us and for every other reader of YAML."""
    if plain_value(text) != text or text.startswith(("---", "...", "- ")) or text in {"-", "="}:
        return False
    for first in (text[:1], None):
        for _, pattern in _RESOLVERS.get(cast("str", first), ()):
            if pattern.match(text):
                return False
    return _UNSEEN.search(text) is None and text.isprintable()


def _quoted(text: str) -> str:
    return _UNSEEN.sub(_escape, json.dumps(text, ensure_ascii=False))


def _escape(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"
