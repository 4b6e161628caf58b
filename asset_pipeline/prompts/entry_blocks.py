"""The lines of a collection file, entry by entry: without parsing, so also where that fails.

A file that is no YAML at one entry is mended by leaving that entry out: its lines become blank, and
every other prompt keeps its place and its line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from asset_pipeline.config.yaml_source import SourceError, YamlFlaw, parse_yaml

_PROMPTS = re.compile(r"prompts:[ \t]*(#.*)?$")
_DASH = re.compile(r"([ ]*)-(?:[ \t]|$)")
_START = re.compile(r"([ \t]*)-[ \t]+[\"']?(?:id|text)[\"']?:")
_TOP_KEY = re.compile(r"[\w\"']")
_FIELD = re.compile(r"[ \t]*(?:-[ \t]+)?(?P<name>[A-Za-z_]\w*):[ \t]+(?P<value>\S.*)")
_ID = re.compile(r"[ \t]*(?:-[ \t]+)?id:[ \t]*[\"']?([a-z0-9][a-z0-9._-]*)")
# What no unquoted text may begin with in YAML.
_INDICATORS = "*&!@`%{}[],|>?\"'#"


@dataclass(frozen=True, slots=True)
class Block:
    """The lines of one entry; :attr:`first` counts from 0."""

    first: int
    lines: tuple[str, ...]
    indent: str

    @property
    def text(self) -> str:
        """The lines as they are written."""
        return "\n".join(self.lines)


@dataclass(frozen=True, slots=True)
class Blocks:
    """A collection file cut at its entries: what stands before them, they, and what follows."""

    head: tuple[str, ...]
    entries: tuple[Block, ...]
    tail: tuple[str, ...]


def blocks_of(text: str) -> Blocks | None:
    """Cut a collection file, or return None where its prompts are not a list in block style."""
    lines = text.split("\n")
    start = next((at for at, line in enumerate(lines) if _PROMPTS.match(line.rstrip("\r"))), None)
    if start is None:
        return None
    firsts: list[tuple[int, str]] = []
    base: str | None = None
    end = len(lines)
    for at in range(start + 1, len(lines)):
        line = lines[at].rstrip("\r")
        dash = _DASH.match(line)
        if dash and base is None:
            base = dash[1]
        if base is None:
            if line.strip() and not line.lstrip().startswith("#"):
                return None
            continue
        if dash and dash[1] == base:
            firsts.append((at, base))
        elif (begun := _START.match(line)) and abs(len(begun[1]) - len(base)) <= 1:
            firsts.append((at, begun[1]))
        elif _TOP_KEY.match(line) and ":" in line:
            end = at
            break
    if base is None:
        return None
    bounds = [*(at for at, _ in firsts), end]
    entries = tuple(
        Block(at, tuple(lines[at:following]), indent)
        for (at, indent), following in zip(firsts, bounds[1:], strict=True)
    )
    return Blocks(tuple(lines[: firsts[0][0]]), entries, tuple(lines[end:]))


def mended(text: str) -> tuple[str, tuple[YamlFlaw, ...], dict[int, str]]:
    """Return a text that YAML can read, what was left out of it, and the ids of that by index.

    A text in order is returned as it is.

    Raises:
        SourceError: What is wrong is not inside an entry.
    """
    try:
        parse_yaml(text)
    except SourceError as error:
        broken = error
    else:
        return text, (), {}
    blocks = blocks_of(text)
    if blocks is None:
        raise broken
    lines = text.split("\n")
    flaws: list[YamlFlaw] = []
    ids: dict[int, str] = {}
    base = blocks.entries[0].indent
    for index, block in enumerate(blocks.entries):
        flaw = _flaw(index, block, base)
        if flaw is None:
            continue
        flaws.append(flaw)
        ids.update((index, found[1]) for line in block.lines[:5] if (found := _ID.match(line)))
        lines[block.first] = f"{base}- {{}}"
        lines[block.first + 1 : block.first + len(block.lines)] = [""] * (len(block.lines) - 1)
    mended_text = "\n".join(lines)
    if not flaws:
        raise broken
    try:
        parse_yaml(mended_text)
    except SourceError:
        raise broken from None
    return mended_text, tuple(flaws), ids


def _flaw(index: int, block: Block, base: str) -> YamlFlaw | None:
    try:
        parse_yaml("prompts:\n" + block.text)
    except SourceError as error:
        line = block.first + max(0, (error.line or 2) - 2)
        hint = next(_advice(block), error.hint)
        if "tab character" in error.message:
            hint = "Indent with spaces: YAML takes no tab."
        return YamlFlaw(("prompts", index), min(line, block.first + len(block.lines) - 1) + 1, error.message, hint)  # fmt: skip  # noqa: E501
    if block.indent == base:
        return None
    message = "This is not YAML: the '-' of this entry is not below those of the others."
    return YamlFlaw(
        ("prompts", index), block.first + 1, message, f"Begin it after {len(base)} spaces."
    )


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" ")) if line.strip() else -1


def _advice(block: Block) -> Iterator[str]:
    """Yield what to write instead, for each line of an entry that YAML takes for something else."""
    for line, below in zip(block.lines, (*block.lines[1:], ""), strict=True):
        found = _FIELD.match(line)
        if found is None:
            continue
        if found["value"][0] not in "|>\"'" and _indent(below) > found.start("name"):
            yield (
                f"Write the text's lines as a block, below '{found['name']}: |', each indented "
                "alike."
            )
        value = found["value"].rstrip()
        quoted = value[0] in "\"'" and value.endswith(value[0]) and len(value) > 1
        if quoted and value[0] not in value[1:-1].replace("\\" + value[0], "").replace(value[0] * 2, ""):  # fmt: skip  # noqa: E501
            continue
        if value[0] in _INDICATORS or ": " in value or value.endswith(":"):
            plain = value.strip("\"'") if value[0] in "\"'" else value
            shown = plain if len(plain) <= 60 else f"{plain[:59]}…"  # noqa: PLR2004 -- a line's worth
            escaped = shown.replace("'", "''")
            yield f"Put the text in quotes: {found['name']}: '{escaped}'"
