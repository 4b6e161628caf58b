"""Finding the files in a model's output, whatever its shape.

Models change what they answer with: a string becomes a list, a list an object with the list in it.
Once it is paid for, any reference to a file is worth a look. What the catalog declares says only
which one is looked at first.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from pydantic import JsonValue

from asset_pipeline.catalog.spec import OutputShape
from asset_pipeline.catalog.terms import Terms
from asset_pipeline.foreign.addresses import BadAddressError, is_address, judged

# A hostile or broken output must not become a thousand downloads.
MAX_CANDIDATES = 16
_MAX_DEPTH = 8
_MAX_VALUES = 10_000

_DATA_URI = re.compile(r"data:(?P<head>[^,]{0,200}),", re.IGNORECASE)

# So long a text without a blank is base64 and no word; a file of fewer bytes shows nothing.
_LEAST_BASE64 = 128
# A word with a colon in it is an address of some kind; a sentence is none.
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}:\S*")

_BASE64 = re.compile(r"[A-Za-z0-9+/\s]+={0,2}\s*")


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file behind an address.

    Attributes:
        place: Where in the output it stands, such as ``images.0.url``.
    """

    place: str
    url: str


@dataclass(frozen=True, slots=True)
class InlineFile:
    """A file that the output itself holds, as a ``data:`` URI or as bare base64."""

    place: str
    text: str

    def content(self, max_bytes: int) -> bytes | None:
        """Return its bytes; None when they would be more than ``max_bytes``.

        Raises:
            ValueError: It is no encoded file.
        """
        match = _DATA_URI.match(self.text)
        payload = self.text if match is None else self.text[match.end() :]
        is_base64 = match is None or match["head"].lower().endswith(";base64")
        # Four characters of base64 are three bytes; three characters may be one byte otherwise.
        if len(payload) > (max_bytes * 4 // 3 + 4 if is_base64 else max_bytes * 3):
            return None
        if not is_base64:
            content = unquote_to_bytes(payload)
        else:
            plain = re.sub(r"\s+", "", unquote_to_bytes(payload).decode("ascii", "replace"))
            plain = plain.translate(_URL_SAFE).rstrip("=")
            try:
                content = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
            except binascii.Error as error:
                raise ValueError(f"base64 that can't be read: {error}") from error
        return content if len(content) <= max_bytes else None


Candidate = RemoteFile | InlineFile

_URL_SAFE = str.maketrans("-_", "+/")


def candidates(output: JsonValue, terms: Terms) -> tuple[Candidate, ...]:
    """Return the files that an output may hold: the declared one first, then in their order.

    No address and no content comes twice; there are :data:`MAX_CANDIDATES` at the most.
    """
    declared = _declared(output, terms)
    found: dict[str, Candidate] = {}
    for place, value in (*_texts(declared[0], declared[1]), *_texts("", output)):
        text = value.strip()
        if text in found:
            continue
        candidate = _candidate(place, text)
        if candidate is not None:
            found[text] = candidate
        if len(found) == MAX_CANDIDATES:
            break
    return tuple(found.values())


def dead_address(output: JsonValue) -> str:
    """Return what is wrong with an address in an output that holds no candidate.

    Empty where it has none at all. A dead one is the last word: another look shows it again.
    """
    for _, value in _texts("", output):
        text = value.strip()
        if _ADDRESS.fullmatch(text) and text[:5].lower() != "data:":
            try:
                judged(text)
            except BadAddressError as error:
                return str(error)
    return ""


def _declared(output: JsonValue, terms: Terms) -> tuple[str, JsonValue]:
    """Return the part of an output in which the model says that its file is."""
    if terms.output is OutputShape.OBJECT and isinstance(output, dict) and terms.output_key:
        return terms.output_key, output.get(terms.output_key)
    return "", None


def _texts(place: str, value: JsonValue) -> Iterator[tuple[str, str]]:
    """Yield the texts in a value with their places, in their order, without recursion."""
    waiting: list[tuple[str, JsonValue, int]] = [(place, value, 0)]
    for _ in range(_MAX_VALUES):
        if not waiting:
            return
        place, value, depth = waiting.pop()
        if isinstance(value, str):
            yield place, value
        elif depth < _MAX_DEPTH and isinstance(value, list | dict):
            inside = enumerate(value) if isinstance(value, list) else value.items()
            parts = [
                (f"{place}.{name}" if place else str(name), part, depth + 1)
                for name, part in inside
            ]
            waiting.extend(reversed(parts))


def _candidate(place: str, text: str) -> Candidate | None:
    if text[:5].lower() == "data:":
        return InlineFile(place, text)
    if text[:8].lower().startswith(("https://", "http://")):
        return RemoteFile(place, text) if is_address(text) else None
    if len(text) >= _LEAST_BASE64 and _BASE64.fullmatch(text) and " " not in text:
        return InlineFile(place, text)
    return None
