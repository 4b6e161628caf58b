"""A table imported again: what changed in it changes in the collection file, and nothing else.

What the table said at the last import stands beside the file, in a hidden one. So three versions
are compared, field by field: what differs between then and now is the table's doing and is taken
over; what differs between then and the file is a person's, and stays. Entries that are not touched
keep their lines and comments.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pydantic import JsonValue, ValidationError

from asset_pipeline.config.yaml_source import SourceError, parse_yaml, read_utf8
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.files import write_atomically
from asset_pipeline.prompts.entry_blocks import blocks_of
from asset_pipeline.prompts.spec import PromptEntry
from asset_pipeline.prompts.yaml_writer import entry_yaml

Values = dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Sheet:
    """What a table says of each prompt, by id: fields that say nothing are left out."""

    prompts: dict[str, Values]

    @classmethod
    def of(cls, entries: Iterable[PromptEntry]) -> Sheet:
        """Return what entries say."""
        return cls({it.id: it.model_dump(exclude_defaults=True) for it in entries})


@dataclass(frozen=True, slots=True)
class Update:
    """What an update does, by prompt id.

    Attributes:
        added: New in the table.
        changed: Those that differ from the file now.
        removed: Gone from the table, and so from the file.
        kept: In the file and not in the table: made by hand, or refused this time.
    """

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    kept: tuple[str, ...]


def remember(collection: Path, sheet: Sheet) -> None:
    """Keep what the table said beside the collection file, for the next update."""
    text = json.dumps({"version": 1, "prompts": sheet.prompts}, ensure_ascii=False, indent=0)
    write_atomically(_beside(collection), text)


def remembered(collection: Path) -> Sheet | None:
    """Return what the table said at the last import; None where nobody knows."""
    try:
        document = json.loads(read_utf8(_beside(collection), inside=collection.parent))
        prompts = document["prompts"]
    except (SourceError, ValueError, KeyError, TypeError, RecursionError):
        return None
    if not isinstance(prompts, dict):
        return None
    is_whole = all(isinstance(it, dict) for it in cast("dict[str, object]", prompts).values())
    return Sheet(cast("dict[str, Values]", prompts)) if is_whole else None


def merge(
    target: Path, now: Sheet, then: Sheet | None, owned: frozenset[str], refused: set[str]
) -> tuple[str, Update]:
    """Return the collection file as it becomes, and what that does.

    Args:
        target: The collection file.
        now: What the table says.
        then: What it said the last time; None where nobody knows.
        owned: The fields that the table has columns for.
        refused: Ids of rows that are wrong this time: their prompts stay as they are.

    Raises:
        AssetPipelineError: The file is broken, or written in a style that can't be changed in
            place.
    """
    try:
        text = read_utf8(target, inside=target.parent)
    except SourceError as error:
        raise AssetPipelineError(f"{target}: {error.message}", hint=error.hint) from None
    blocks = blocks_of(text)
    entries = _entries(text, target)
    if blocks is None or len(blocks.entries) != len(entries):
        raise AssetPipelineError(
            f"{target} can't be updated in place: its prompts are not one entry below the other.",
            hint="Write each prompt as '- id: …', or replace the file with --overwrite.",
        )
    known = {} if then is None else then.prompts
    lines = [*blocks.head]
    indent = blocks.entries[0].indent if blocks.entries else "  "
    changed: list[str] = []
    removed: list[str] = []
    kept: list[str] = []
    for entry, block in zip(entries, blocks.entries, strict=True):
        prompt_id = str(entry.get("id"))
        said = now.prompts.get(prompt_id)
        if said is None:
            if prompt_id in known and prompt_id not in refused:
                removed.append(prompt_id)
                continue
            kept.append(prompt_id)
            lines.extend(block.lines)
            continue
        wanted = _merged(entry, said, known.get(prompt_id), owned)
        if wanted == entry:
            lines.extend(block.lines)
            continue
        changed.append(prompt_id)
        lines.extend(entry_yaml(_checked(wanted, target), indent).split("\n"))
        lines.extend(_trailing(block.lines))
    there = {str(entry.get("id")) for entry in entries}
    added = [it for it in now.prompts if it not in there]
    while lines and not lines[-1].strip():
        lines.pop()
    for prompt_id in added:
        lines.extend(entry_yaml(_checked(now.prompts[prompt_id], target), indent).split("\n"))
    update = Update(tuple(added), tuple(changed), tuple(removed), tuple(kept))
    return "\n".join((*lines, *(blocks.tail or ("",)))), update


def _entries(text: str, target: Path) -> list[Values]:
    try:
        document = parse_yaml(text)
    except SourceError as error:
        raise AssetPipelineError(
            f"{target}:{error.line or 1}: {error.message}", hint="Correct the file, then update."
        ) from None
    prompts = document.value.get("prompts") if isinstance(document.value, dict) else None
    if (
        document.flaws
        or not isinstance(prompts, list)
        or not all(isinstance(it, dict) for it in prompts)
    ):
        raise AssetPipelineError(
            f"{target} has entries that can't be read.",
            hint="See asset-pipeline prompts validate, and correct them first.",
        )
    return cast("list[Values]", prompts)


def _merged(entry: Values, said: Values, before: Values | None, owned: frozenset[str]) -> Values:
    wanted: Values = dict(entry)
    for name in (*PromptEntry.model_fields,):
        if name in {"inputs", "fields"}:
            nested = _merged_nested(
                _mapping(entry.get(name)),
                _mapping(said.get(name)),
                None if before is None else _mapping(before.get(name)),
            )
            if nested:
                wanted[name] = nested
            else:
                wanted.pop(name, None)
        elif name in owned and (before is None or said.get(name) != before.get(name)):
            if name in said:
                wanted[name] = said[name]
            elif before is not None:
                wanted.pop(name, None)
    return wanted


def _merged_nested(entry: Values, said: Values, before: Values | None) -> Values:
    wanted = entry | {
        name: value for name, value in said.items() if before is None or before.get(name) != value
    }
    for name in before or ():
        if name not in said:
            wanted.pop(name, None)
    return wanted


def _mapping(value: JsonValue) -> Values:
    return value if isinstance(value, dict) else {}


def _checked(values: Values, target: Path) -> PromptEntry:
    try:
        return PromptEntry.model_validate(cast("Any", values))
    except ValidationError as error:
        raise AssetPipelineError(
            f"{target}: the prompt {values.get('id')} can't be read: {error.errors()[0]['msg']}.",
            hint="See asset-pipeline prompts validate, and correct it first.",
        ) from None


def _trailing(lines: Sequence[str]) -> list[str]:
    """Return the blank lines and comments below an entry: they belong to what follows."""
    at = len(lines)
    while at > 1 and (not lines[at - 1].strip() or lines[at - 1].lstrip().startswith("#")):
        at -= 1
    return list(lines[at:])


def _beside(collection: Path) -> Path:
    return collection.with_name(f".{collection.stem}.import.json")
