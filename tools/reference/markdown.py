"""Tables and text in Markdown."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence

_ROLE = re.compile(r":(?:func|class|meth|data|attr|mod|exc|obj):`~?([^`]+)`")
_RICH_TAG = re.compile(r"\[/?(?:bold|dim|italic|cyan|yellow|red|green)\]")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; text in its cells keeps its meaning, whatever marks it has."""
    lines = [_line(head), _line(["---"] * len(head))]
    lines.extend(_line([_cell(each) for each in row]) for row in rows)
    return "\n".join(lines)


def prose(docstring: str | None) -> str:
    """Return a docstring as Markdown: indentation, roles and double backticks of reST taken off."""
    lines = (docstring or "").strip().splitlines()
    indents = [len(line) - len(line.lstrip()) for line in lines[1:] if line.strip()]
    indent = min(indents, default=0)
    text = "\n".join([*lines[:1], *(line[indent:] for line in lines[1:])])
    return without_marks(text.replace("``", "`"))


def without_marks(text: str) -> str:
    """Return text without the marks of Sphinx and Rich, which Markdown would show as they are."""
    return _RICH_TAG.sub("", _ROLE.sub(r"`\1`", text))


def code(text: str) -> str:
    """Return text as inline code; empty text stays empty."""
    return f"`{text}`" if text else ""


def _cell(text: str) -> str:
    """Keep a bar from ending the cell; in code Python-Markdown takes it as it is."""
    parts = " ".join(text.split()).split("`")
    return "`".join(
        part if is_code else part.replace("|", "\\|")
        for is_code, part in zip(itertools.cycle([False, True]), parts, strict=False)
    )


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
