"""Markdown for Dagster's pages, the one place where it is made of text that somebody else wrote.

Such a text shows as it is: it opens no table cell, loads no picture, runs no HTML and becomes no
link, not even as a bare address, which Dagster's pages would link by themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from asset_pipeline.disclosure.terminal import plain
from asset_pipeline.media.preview import data_uri

# What a page makes a link of without any markup: addresses with a scheme, www and mail.
_ADDRESS = re.compile(
    r"(?:[a-z][a-z0-9+.-]*://|www\.|mailto:|xmpp:)\S*|[\w.+-]+@[\w.-]+", re.IGNORECASE
)
# Between letters and digits an underscore is no markup; elsewhere a line begins with none of these.
_MARKS = re.compile(r"[\\`*\[\]<&|~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_FIRST = re.compile(r"^(?:[-+=#>]|\d+(?=[.)](?:\s|$)))")
_TICKS = re.compile(r"`+")


def shown(text: object) -> str:
    """Return text that Markdown shows as it is, in one line."""
    line = " ".join(plain(text).split())
    parts: list[str] = []
    at = 0
    for found in _ADDRESS.finditer(line):
        parts += [_escaped(line[at : found.start()]), code(found[0])]
        at = found.end()
    parts.append(_escaped(line[at:]))
    return _FIRST.sub(_first, "".join(parts))


def code(text: object) -> str:
    """Return text as code, in one line."""
    line = " ".join(plain(text).split())
    if not line:
        return ""
    longest = max((len(run) for run in _TICKS.findall(line)), default=0)
    fence, space = "`" * (longest + 1), " " if line[0] == "`" or line[-1] == "`" else ""
    # In a table a bar ends the cell within code too, and there a backslash before it goes away.
    return f"{fence}{space}{line}{space}{fence}".replace("|", "\\|" if "\\|" not in line else "¦")


def bullets(lines: Iterable[object]) -> str:
    """Return a list of texts."""
    return "\n".join(f"- {shown(line)}" for line in lines)


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, right: int = 0) -> str:
    """Return a table.

    Args:
        headings: Of its columns.
        rows: Cells that :func:`shown` or :func:`code` made, or our own words.
        right: So many of the last columns are aligned to the right.
    """
    left = len(headings) - right
    rule = "|" + "---|" * left + "---:|" * right
    return "\n".join([_row(headings), rule, *map(_row, rows)])


def picture(webp: bytes, name: object = "") -> str:
    """Return a picture of our own that the text itself holds; none is loaded from anywhere."""
    return f"![{shown(name)}]({data_uri(webp)})"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(text: str) -> str:
    return _MARKS.sub(r"\\\g<0>", text)


def _first(found: re.Match[str]) -> str:
    return f"{found[0]}\\" if found[0].isdigit() else f"\\{found[0]}"
