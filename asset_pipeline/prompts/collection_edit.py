"""Putting prompts into a collection file that people write: their comments and order stay.

Only the lines of the entries concerned change. The result is read again before it is written, and
refused when it says anything else than was meant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import yaml

from asset_pipeline.config.yaml_source import SourceError, parse_yaml
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.prompts.spec import PromptEntry
from asset_pipeline.prompts.yaml_writer import entry_yaml


def with_entries(text: str, entries: Sequence[PromptEntry]) -> str:
    """Return a collection file's text with entries put in: those it has are replaced.

    Args:
        text: The file as it is.
        entries: What to put in, each by its id.

    Raises:
        AssetPipelineError: It can't be done without changing anything else.
    """
    before = _read(text)
    items, indent, end = _places(text)
    new: list[str] = []
    edits: list[tuple[int, int, str]] = []
    for entry in entries:
        block = _block(entry, indent)
        if entry.id in items:
            edits.append((*items[entry.id], block))
        else:
            new.append(block)
    if new:
        edits.append((end, end, "".join(new)))
    for first, last, block in sorted(edits, reverse=True):
        head = text[:first]
        if head and not head.endswith("\n"):
            head += "\n"
        text = head + block + text[last:]
    _check(before, _read(text), entries)
    return text


def _read(text: str) -> Mapping[str, Any]:
    try:
        document = parse_yaml(text)
    except SourceError as error:
        raise _refusal(str(error)) from None
    if document.flaws or not isinstance(document.value, dict):
        raise _refusal("it has problems already")
    return document.value


def _places(text: str) -> tuple[dict[str, tuple[int, int]], int, int]:
    """Return where each entry begins and ends by id, the column of the dashes, and the end."""
    compose = cast("Callable[..., yaml.Node | None]", yaml.compose)  # pyright: ignore[reportUnknownMemberType] -- its stub leaves the stream untyped
    root = compose(text, Loader=yaml.CSafeLoader)
    listed = None
    if isinstance(root, yaml.MappingNode):
        for key, value in root.value:
            if isinstance(key, yaml.ScalarNode) and key.value == "prompts":
                listed = value
    if not isinstance(listed, yaml.SequenceNode) or listed.flow_style or not listed.value:
        raise _refusal("its prompts are no list with a line each")
    starts = [_line_start(text, node.start_mark.index) for node in listed.value]
    dash = text.index("-", starts[0]) - starts[0]
    end = _entry_end(text, listed.value[-1].end_mark.index)
    items: dict[str, tuple[int, int]] = {}
    for place, node in enumerate(listed.value):
        last = _entry_end(text, node.end_mark.index)
        following = starts[place + 1] if place + 1 < len(starts) else end
        prompt_id = _id_of(node)
        if prompt_id is not None:
            items[prompt_id] = (starts[place], min(last, following))
    return items, dash, end


def _id_of(node: yaml.Node) -> str | None:
    if not isinstance(node, yaml.MappingNode):
        return None
    for key, value in node.value:
        if getattr(key, "value", None) == "id" and isinstance(value, yaml.ScalarNode):
            return value.value
    return None


def _line_start(text: str, index: int) -> int:
    return text.rfind("\n", 0, index) + 1


def _entry_end(text: str, index: int) -> int:
    """Return where an entry's last line ends: a block's mark stands behind what follows it."""
    kept = text[:index].rstrip()
    while True:
        line = kept[kept.rfind("\n") + 1 :]
        if not line.lstrip().startswith("#"):
            break
        kept = kept[: kept.rfind("\n")].rstrip()
    newline = text.find("\n", len(kept))
    return len(text) if newline < 0 else newline + 1


def _block(entry: PromptEntry, indent: int) -> str:
    return entry_yaml(entry, " " * indent) + "\n"


def _check(
    before: Mapping[str, Any], after: Mapping[str, Any], entries: Sequence[PromptEntry]
) -> None:
    wanted = {entry.id: entry.model_dump(exclude_defaults=True) for entry in entries}
    expected: list[Any] = []
    for row in cast("list[Any]", before["prompts"]):
        name = str(cast("dict[str, Any]", row)["id"]) if _is_entry(row) else ""
        expected.append(wanted.pop(name, row))
    expected += list(wanted.values())
    if {**before, "prompts": expected} != dict(after):
        raise _refusal("its form leaves no room for them")


def _is_entry(row: object) -> bool:
    return isinstance(row, dict) and "id" in row


def _refusal(why: str) -> AssetPipelineError:
    return AssetPipelineError(
        f"Prompts can't be put into the collection file without changing more of it: {why}.",
        hint="Write its prompts in block style, or choose another collection.",
    )
