"""Text that a terminal, or whatever else shows it, can't take for a command."""

from __future__ import annotations

import re

COMMANDS = "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff"
"""Characters that are no text, for a class of a regular expression.

Escape sequences begin with one of them; overrides of the writing direction make text look like
other text; lone surrogates can't be encoded. Tabs and ends of lines are text.
"""

_COMMANDS = re.compile(f"[{COMMANDS}]")
_IN_JSON = re.compile("[\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def plain(text: object) -> str:
    """Return text that a terminal cannot take for a command: no escape or other control codes."""
    return "".join(
        c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in str(text)
    )


def without_commands(text: str) -> str:
    """Return the same for text that another program reads: tabs and ends of lines stay."""
    return _COMMANDS.sub("\N{REPLACEMENT CHARACTER}", text)


def escaped_json(document: str) -> str:
    """Return a JSON document with what a terminal would obey written as its escapes: no loss."""
    return _IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", document)
