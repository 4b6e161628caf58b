"""Reading the files people write by hand: strict UTF-8 and strict YAML, with line numbers.

Scalars follow the YAML 1.2 core schema, less octal, hexadecimal, infinity and not-a-number. Under
PyYAML's own 1.1 rules ``aspect_ratio: 16:9`` is the integer 969 and ``voice: no`` is false; here
both are the text that was typed. Values are built straight from the C parser's events: a third of
``CSafeLoader``'s time for 100,000 prompts, and a duplicate key is seen instead of silently winning.

What these files may cost is bounded, because somebody else may have written them: their bytes, how
deep and how wide they are, and the parser's time. Nothing here recurses deeper than a file may be
nested; ``yaml.compose`` ends the process at some ten thousand levels.
"""

from __future__ import annotations

import contextlib
import io
import re
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Protocol, TypeAlias, cast

import yaml
from pydantic import JsonValue
from yaml.events import (
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from asset_pipeline.errors import AssetPipelineError, ConfigurationError
from asset_pipeline.foreign.files import ForeignFileError, read_file

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
# Fields of prose in a collection file: a # in one of these is hardly ever meant for a comment.
_PROSE = frozenset(("text", "style", "negative_prompt"))
_OF_COLLECTIONS = frozenset(("prompts", "defaults", "generic_prompts"))

MOST_BYTES = 32 * 1024**2
"""The longest file of prompts that is read; 100,000 prompts with their inputs take 20 MB."""

CONFIGURATION_BYTES = 4 * 1024**2
"""The longest configuration file; the packaged models.yaml has 30 kB."""

# Deeper than this the file is given up: in brackets the parser looks at all that are open with each
# new one, so that 40,000 take it 2 s and ten times as many a hundred times as long.
_DEEPEST = 1000

# Values take some hundred bytes each, and a microsecond.
_MOST_VALUES = 1_500_000
_MOST_FLAWS = 10_000
_MOST_CONTROLS = 10_000

# Characters of a text that a message repeats.
_SHOWN = 80

# The parser takes 1.5 s for the widest files. What takes longer feeds on something that it does
# again for all that was before, such as checking a directive against each other one.
_PARSER_SECONDS = 8.0


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


def read_utf8(path: Path, *, inside: Path | None = None, most: int = MOST_BYTES) -> str:
    """Read a text file, strictly UTF-8; a byte order mark is dropped.

    Args:
        path: The file.
        inside: The folder that it must lie in once links are followed; None where a person named
            the file itself.
        most: The longest that is read, in bytes.

    Raises:
        SourceError: The file cannot be read, is none that may be, or some byte is not UTF-8.
    """
    try:
        data = read_file(path, inside=inside, most=most)
    except OSError as error:
        raise SourceError(
            f"The file cannot be read: {error.strerror or error}.",
            hint="Check that it exists and that you may read it.",
        ) from error
    except ForeignFileError as error:
        raise SourceError(f"The file cannot be read: {error.message}", hint=error.hint) from None
    try:
        return data.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise SourceError(
            f"The file is not UTF-8: byte 0x{data[error.start]:02x} at offset {error.start}.",
            hint="Save it as UTF-8.",
            line=data.count(b"\n", 0, error.start) + 1,
        ) from None


def read_configuration(
    path: Path, *, label: str = "", meaning: Callable[[str], JsonValue] | None = None
) -> JsonValue:
    """Read a configuration file: one YAML document, without a flaw.

    Args:
        path: The file; it must lie in its folder once links are followed.
        label: What errors call it; its path if not given.
        meaning: What a scalar means that is not quoted; as :func:`plain_value` says if not given.

    Raises:
        ConfigurationError: It cannot be read, or is no YAML of the strict kind.
    """
    name = label or str(path)
    try:
        text = read_utf8(path, inside=path.parent, most=CONFIGURATION_BYTES)
        document = parse_yaml(text, meaning=meaning or plain_value)
    except SourceError as error:
        line = "" if error.line is None else f":{error.line}"
        raise ConfigurationError(f"{name}{line}: {error.message}", hint=error.hint) from None
    for flaw in document.flaws:
        where = "".join(f"{part}." for part in flaw.path).removesuffix(".")
        at = f" {where}:" if where else ""
        raise ConfigurationError(f"{name}:{flaw.line}:{at} {flaw.message}", hint=flaw.hint)
    return document.value


def parse_yaml(text: str, *, meaning: Callable[[str], JsonValue] | None = None) -> Document:
    """Parse the one document in ``text``; an empty text is None.

    Args:
        text: The file's.
        meaning: What a scalar means that is not quoted; as :func:`plain_value` says if not given.

    Raises:
        SourceError: The text is not YAML, holds a second document, or is deeper or wider than
            any file that is meant.
    """
    with _events(text) as next_event:
        return _Builder(next_event, meaning or plain_value, text).document()


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
    top = _Sought()
    for path in paths:
        sought = top
        for part in path:
            sought = sought.below.setdefault(part, _Sought())
    with _events(text) as next_event:
        _find_lines(next_event, top)
    return [_line(top, path) for path in paths]


@dataclass(slots=True)
class _Sought:
    """A value whose line somebody asks for, or that of something below it."""

    line: int | None = None
    below: dict[str | int, _Sought] = field(default_factory=dict["str | int", "_Sought"])


def _line(top: _Sought, path: FieldPath) -> int:
    sought, line = top, top.line or 1
    for part in path:
        sought = sought.below[part]
        if sought.line is None:
            break
        line = sought.line
    return line


class _Place:
    """A collection that is being walked through: what is sought in it, and where the walk is."""

    def __init__(self, sought: _Sought | None, *, is_mapping: bool) -> None:
        self._sought = sought
        self._is_mapping = is_mapping
        self._at: str | int | None = 0
        self._line = 0
        self._has_key = False

    def next(self, event: NodeEvent) -> _Sought | None:
        """Take the next key, value or item; return it if it is sought and seen for the first time.

        A value is read at the line of its key, if it has one.
        """
        if self._is_mapping and not self._has_key:
            self._has_key = True
            self._at = event.value if isinstance(event, ScalarEvent) else None
            self._line = _event_line(event)
            return None
        at, line = self._at, self._line if self._is_mapping else _event_line(event)
        if isinstance(at, int):
            self._at = at + 1
        self._has_key = False
        found = None if self._sought is None or at is None else self._sought.below.get(at)
        if found is None or found.line is not None:
            return None
        found.line = line
        return found


def _find_lines(next_event: Callable[[], Event], top: _Sought) -> None:
    places: list[_Place] = []
    while not isinstance(event := next_event(), StreamEndEvent):
        if isinstance(event, SequenceEndEvent | MappingEndEvent):
            places.pop()
        elif isinstance(event, NodeEvent):
            if places:
                found = places[-1].next(event)
            else:
                found, top.line = top, _event_line(event)
            if isinstance(event, CollectionStartEvent):
                is_mapping = isinstance(event, MappingStartEvent)
                places.append(_Place(found, is_mapping=is_mapping))


class _EventSource(Protocol):
    def get_event(self) -> Event: ...
    def dispose(self) -> None: ...


class _TimedText:
    """Text for the parser, which asks for it in pieces of 16 kB, until its time is over."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)
        # Of this thread's own work: on a busy machine a good file takes as long as it takes.
        self._deadline = time.thread_time() + _PARSER_SECONDS

    def read(self, size: int = -1, /) -> bytes:
        if time.thread_time() > self._deadline:
            raise SourceError(
                f"The file takes longer to read than {_PARSER_SECONDS:.0f} s.", hint="Simplify it."
            )
        return self._data.read(size)


@contextlib.contextmanager
def _events(text: str) -> Generator[Callable[[], Event]]:
    """Yield what returns the next event of a text.

    Raises:
        SourceError: The text is not YAML, or takes too long.
    """
    # The stub leaves the loader's methods untyped.
    loader = cast("_EventSource", yaml.CSafeLoader(_TimedText(_speakable(text).encode())))
    try:
        yield loader.get_event
    except yaml.YAMLError as error:
        mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
        said = error.problem or error.context if isinstance(error, yaml.MarkedYAMLError) else error
        raise SourceError(
            f"This is not YAML: {said}.",
            hint="Check the indentation and the quotes here and on the line before.",
            line=None if mark is None else mark.line + 1,
        ) from None
    finally:
        loader.dispose()


class _Builder:
    """Builds plain values from parser events, noting where it is in case something is wrong."""

    def __init__(
        self, next_event: Callable[[], Event], meaning: Callable[[str], JsonValue], text: str
    ) -> None:
        self._next = next_event
        self._meaning = meaning
        self._text = text
        self._has_comments = " #" in text or "\t#" in text
        self._values = 0
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
        self._values += 1
        if self._values > _MOST_VALUES:
            raise SourceError(
                f"The file holds more than {_MOST_VALUES:,} values.",
                hint="Split it.",
                line=_event_line(event),
            )
        if type(event) is ScalarEvent and event.tag is None and event.anchor is None:
            if self._has_comments and not event.style and self._is_prose():
                self._check_uncut(event)
            return event.value if event.style else self._meaning(event.value)
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

    def _is_prose(self) -> bool:
        """Tell whether the value at hand is one of a collection file's texts."""
        if not self._path or self._path[0] not in _OF_COLLECTIONS:
            return False
        is_field = self._path[-2:-1] == ["fields"]
        return self._path[-1] in _PROSE or is_field or self._path[0] == "generic_prompts"

    def _check_uncut(self, event: ScalarEvent) -> None:
        """Refuse an unquoted text with a comment behind it: the rest would be lost unseen."""
        end = event.end_mark.index
        line_end = self._text.find("\n", end)
        rest = self._text[end : line_end if line_end >= 0 else None]
        if rest.lstrip(" \t")[:1] != "#" or rest[:1] == "#":
            return
        comment = rest.strip()
        whole = f"{event.value} {comment}".replace("'", "''")
        self._flaw(
            event,
            f"YAML takes {_shortened(comment)!r} for a comment and cuts the text there.",
            f"If it is part of the text, put the whole in quotes: '{_shortened(whole)}'; "
            "if it is a comment, write it on a line of its own.",
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
                if depth + len(self._path) > _DEEPEST:
                    raise SourceError(
                        f"The file is nested over {_DEEPEST} levels deep.",
                        hint="Flatten it.",
                        line=_event_line(event),
                    )
            elif isinstance(event, SequenceEndEvent | MappingEndEvent):
                depth -= 1

    def _flaw(self, event: Event, message: str, hint: str) -> None:
        if len(self._flaws) >= _MOST_FLAWS:
            raise SourceError(
                f"The file holds more than {_MOST_FLAWS:,} things that no such file may say.",
                hint=hint,
                line=_event_line(event),
            )
        path = tuple(part for part in self._path if part != "")
        self._flaws.append(YamlFlaw(path, _event_line(event), message, hint))


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _speakable(text: str) -> str:
    if next(islice(_CONTROL.finditer(text), _MOST_CONTROLS, None), None) is not None:
        raise SourceError(
            f"This is no text: it holds more than {_MOST_CONTROLS:,} control characters.",
            hint="Check that it is the file that was meant.",
        )
    return _CONTROL.sub(CONTROL_STAND_IN, text)


def _event_line(event: Event) -> int:
    return event.start_mark.line + 1
