"""JSON of others: its depth and its number of values are bounded before it is parsed."""

from __future__ import annotations

import json
import re

MAX_DEPTH = 64

# Measured: a value of the most wasteful kind, an object in an object, takes 300 bytes when parsed,
# so this many take 150 MB. A page of a hundred predictions holds three thousand.
MAX_VALUES = 500_000

VALUE_BYTES = 64
"""What a parsed value takes as a rule, for weighing what is kept."""

# Possessive, and every start of a string matches to some end: no text makes it look twice.
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[{]|[\]}]|,', re.DOTALL)


class UnboundedDocumentError(ValueError):
    """A document is deeper or wider than anything we read."""


def read_json(body: bytes) -> tuple[object, int]:
    """Return a parsed document, and about how many bytes it takes.

    Raises:
        UnboundedDocumentError: It is too deep or holds too many values; it was not parsed.
        ValueError: It is no JSON.
    """
    values = check_bounds(body)
    try:
        return json.loads(body), len(body) + values * VALUE_BYTES
    except RecursionError as error:
        raise UnboundedDocumentError("a document that is nested too deep") from error


def check_bounds(body: bytes, most: int = MAX_VALUES) -> int:
    """Return about how many values a document holds.

    Raises:
        UnboundedDocumentError: It is too deep, or holds more values than ``most``.
    """
    opened = body.count(b"[") + body.count(b"{")
    values = opened + body.count(b",")
    # These are too many at the worst, since strings hold commas too: a small document needs no
    # closer look.
    if opened > MAX_DEPTH or values > most:
        values = _count(body, most)
    return values


def _count(body: bytes, most: int) -> int:
    """Return the number of values, as far as the brackets and commas tell.

    Raises:
        UnboundedDocumentError: There are too many, or they are nested too deep.
    """
    depth = values = 0
    # Strings are counted apart: half a million commas lie between as many strings.
    for tokens, found in enumerate(_TOKEN.finditer(body)):
        first = body[found.start()]
        if first in b"[{":
            depth += 1
            values += 1
            if depth > MAX_DEPTH:
                raise UnboundedDocumentError(f"a document nested more than {MAX_DEPTH} deep")
        elif first in b"]}":
            depth -= 1
        elif first == ord(","):
            values += 1
        if values > most or tokens > 4 * most:
            raise UnboundedDocumentError(f"a document of more than {most:,} values")
    return values
