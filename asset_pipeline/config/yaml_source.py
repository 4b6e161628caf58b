"""Reading the files people write by hand: strict UTF-8 and strict YAML, with line numbers.

Scalars follow the YAML 1.2 core schema, less octal, hexadecimal, infinity and not-a-number. Under
PyYAML's own 1.1 rules ``aspect_ratio: 16:9`` is the integer 969 and ``voice: no`` is false; here
both are the text that was typed. Values are built straight from the C parser's events: a third of
``CSafeLoader``'s time for 100,000 prompts, and a duplicate key is seen instead of silently winning.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias, cast

import yaml
from pydantic import JsonValue
from yaml.events import (
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from asset_pipeline.errors import AssetPipelineError

FieldPath: TypeAlias = tuple[str | int, ...]
"""Where a value sits in a document: ``("prompts", 3, "inputs", "seed")``."""

CONTROL_STAND_IN = "\ufdd0"
"""A noncharacter that stands for a raw control character, which would end any YAML parser.

So one bad prompt does not spoil its file: the rules for texts refuse it in that prompt alone.
"""

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")
_INTEGER = re.compile(r"[-+]?[0-9]{1,19}")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,2})?")
_WORDS: dict[str, JsonValue] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_MAX_DEPTH = 32
# Fields of prose: a # in one of these is hardly ever meant for a comment.
_PROSE = frozenset(("text", "style", "negative_prompt"))


class SourceError(AssetPipelineError):
    """A file cannot be read as text or as YAML at all; :attr:`line` counts from 1."""

    def __init__(self, message: str, *, hint: str = "", line: int | None = None) -> None:
        super().__init__(message, hint=hint)
        self.line = line


@dataclass(frozen=True, slots=True)
class YamlFlaw:
    """Something this YAML may not say, at one place; the rest of the document is sound."""

    path: FieldPath
    line: int
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed YAML document; what a flaw concerns is left out of, or None in, the value."""

    value: JsonValue
    flaws: tuple[YamlFlaw, ...]


def read_utf8(path: Path) -> str:
    """Read a text file, strictly UTF-8; a byte order mark is dropped.

    Raises:
        SourceError: The file cannot be read, or some byte of it is not UTF-8.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SourceError(
            f"The file cannot be read: {error.strerror or error}.",
            hint="Check that it exists and that you may read it.",
        ) from error
    try:
        return data.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise SourceError(
            f"The file is not UTF-8: byte 0x{data[error.start]:02x} at offset {error.start}.",
            hint="Save it as UTF-8.",
            line=data.count(b"\n", 0, error.start) + 1,
        ) from None


def parse_yaml(text: str) -> Document:
    """Parse the one document in ``text``; an empty text is None.

    Raises:
        SourceError: The text is not YAML, or holds a second document.
    """
    # The stub leaves the loader's methods untyped.
    speakable = _speakable(text)
    loader = cast("_EventSource", yaml.CSafeLoader(speakable))
    try:
        return _Builder(loader.get_event, speakable).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise SourceError(
            f"This is not YAML: {error.problem or error.context}.",
            hint="Check the indentation and the quotes here and on the line before.",
            line=None if mark is None else mark.line + 1,
        ) from None
    finally:
        loader.dispose()


def plain_value(scalar: str) -> JsonValue:
    """Return what an unquoted scalar means: null, a boolean, a number, or its own text."""
    if scalar in _WORDS:
        return _WORDS[scalar]
    if scalar[0] in "+-.0123456789":
        if _INTEGER.fullmatch(scalar):
            return int(scalar)
        if _NUMBER.fullmatch(scalar):
            return float(scalar)
    return scalar


def lines_of(text: str, paths: Sequence[FieldPath]) -> list[int]:
    """Return the line (from 1) of each value, or of its nearest parent that exists.

    Costs a second parse of ``text``, so it is meant for a document known to have a problem.
    """
    compose = cast("Callable[..., yaml.Node | None]", yaml.compose)  # pyright: ignore[reportUnknownMemberType] -- its stub leaves the stream untyped
    root = compose(_speakable(text), Loader=yaml.CSafeLoader)
    return [1 if root is None else _line(root, path) for path in paths]


class _EventSource(Protocol):
    def get_event(self) -> Event: ...
    def dispose(self) -> None: ...


class _Builder:
    """Builds plain values from parser events, noting where it is in case something is wrong."""

    def __init__(self, next_event: Callable[[], Event], text: str) -> None:
        self._next = next_event
        self._text = text
        self._has_comments = " #" in text or "\t#" in text
        self._path: list[str | int] = []
        self._flaws: list[YamlFlaw] = []

    def document(self) -> Document:
        self._next()  # the stream's start
        if isinstance(self._next(), StreamEndEvent):
            return Document(None, ())
        value = self._value(self._next())
        self._next()  # the document's end
        if isinstance(second := self._next(), DocumentStartEvent):
            raise SourceError(
                "A second YAML document begins here.",
                hint="Keep one document a file.",
                line=_event_line(second),
            )
        return Document(value, tuple(self._flaws))

    def _value(self, event: Event) -> JsonValue:
        if type(event) is ScalarEvent and event.tag is None and event.anchor is None:
            if (
                self._has_comments
                and not event.style
                and self._path[-1:]
                and (self._path[-1] in _PROSE or self._path[-2:-1] == ["fields"])
            ):
                self._check_uncut(event)
            return event.value if event.style else plain_value(event.value)
        if isinstance(event, NodeEvent) and event.anchor is not None:
            self._flaw(event, "Anchors and aliases are not used here.", "Write the value out.")
        elif isinstance(event, ScalarEvent | CollectionStartEvent) and event.tag is not None:
            self._flaw(event, f"The tag {event.tag} is not used here.", "Quote text instead.")
        elif len(self._path) >= _MAX_DEPTH:
            self._flaw(event, f"This is nested over {_MAX_DEPTH} levels deep.", "Flatten it.")
        elif isinstance(event, SequenceStartEvent):
            return self._sequence()
        else:
            return self._mapping()
        if isinstance(event, CollectionStartEvent):
            self._skip()
        return None

    def _check_uncut(self, event: ScalarEvent) -> None:
        """Refuse an unquoted text with a comment behind it: the rest would be lost unseen."""
        end = event.end_mark.index
        line_end = self._text.find("\n", end)
        rest = self._text[end : line_end if line_end >= 0 else None]
        if rest.lstrip(" \t")[:1] == "#" and rest[:1] != "#":
            self._flaw(
                event,
                f"YAML takes {rest.strip()[:40]!r} for a comment and would cut the text there.",
                "Put the whole text in quotes, or the comment on a line of its own.",
            )

    def _sequence(self) -> JsonValue:
        items: list[JsonValue] = []
        self._path.append(0)
        while not isinstance(event := self._next(), SequenceEndEvent):
            self._path[-1] = len(items)
            items.append(self._value(event))
        self._path.pop()
        return items

    def _mapping(self) -> JsonValue:
        items: dict[str, JsonValue] = {}
        self._path.append("")
        while not isinstance(event := self._next(), MappingEndEvent):
            key = self._key(event)
            self._path[-1] = key
            value = self._value(self._next())
            if key in items:
                self._flaw(event, f"{key!r} is given twice.", "Keep one of the two.")
            elif key:
                items[key] = value
        self._path.pop()
        return items

    def _key(self, event: Event) -> str:
        """Return a key as it was typed; only a scalar can be one."""
        if isinstance(event, ScalarEvent) and event.value:
            return event.value
        self._path[-1] = ""
        self._flaw(event, "A key must be a name.", "Quote text that holds { } [ ] or ': '.")
        if isinstance(event, CollectionStartEvent):
            self._skip()
        return ""

    def _skip(self) -> None:
        """Pass over the rest of a collection whose beginning was refused."""
        depth = 1
        while depth:
            event = self._next()
            if isinstance(event, CollectionStartEvent):
                depth += 1
            elif isinstance(event, SequenceEndEvent | MappingEndEvent):
                depth -= 1

    def _flaw(self, event: Event, message: str, hint: str) -> None:
        path = tuple(part for part in self._path if part != "")
        self._flaws.append(YamlFlaw(path, _event_line(event), message, hint))


def _speakable(text: str) -> str:
    return _CONTROL.sub(CONTROL_STAND_IN, text)


def _event_line(event: Event) -> int:
    return event.start_mark.line + 1


def _line(node: yaml.Node, path: FieldPath) -> int:
    line = node.start_mark.line + 1
    for part in path:
        child = _child(node, part)
        if child is None:
            break
        node, line = child
    return line


def _child(node: yaml.Node, part: str | int) -> tuple[yaml.Node, int] | None:
    """Return the value at ``part`` and the line it is read at: its key's, if it has one."""
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        child = node.value[part]
        return child, child.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value == part:
                return value, key.start_mark.line + 1
    return None
