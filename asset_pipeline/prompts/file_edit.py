"""Changing one prompt in a file that people write: comments, order and quotes stay as they are.

A file that changed since somebody looked at it is not written to: what they saw is not what they
would overwrite.
"""

from __future__ import annotations

import contextlib
import difflib
import fcntl
import hashlib
import io
import os
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pydantic import JsonValue

from asset_pipeline.config.yaml_source import SourceError, parse_yaml, read_utf8
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.files import resolve_inside, write_atomically

# Lines are never folded: a line that a person wrote long stays one line.
_WIDTH = 1 << 20

# How lists and mappings are indented; the one that gives a file back as it is, is its own.
_INDENTS = ((2, 4, 2), (2, 2, 0), (4, 6, 4), (4, 4, 2), (4, 4, 0))


class PromptFileChangedError(AssetPipelineError):
    """The file is not the one that was looked at."""


class PromptFileEditError(AssetPipelineError):
    """The file can't be changed so."""


@dataclass(frozen=True, slots=True)
class PromptEdit:
    """What is to change in one prompt; None leaves a part as it is.

    Attributes:
        inputs: All inputs that the prompt itself sets; those that it takes from its collection's
            defaults need not be among them.
    """

    prompt_id: str
    text: str | None = None
    inputs: Mapping[str, JsonValue] | None = None


@dataclass(frozen=True, slots=True)
class PromptSource:
    """A prompt as its file has it.

    Attributes:
        sha256: Of the whole file: an edit is refused when it has another by then.
        text: As written, without the collection's style.
        inputs: Those that the prompt itself sets.
    """

    sha256: str
    text: str
    inputs: Mapping[str, JsonValue]


def read_source(prompts_dir: Path, name: str, prompt_id: str) -> PromptSource:
    """Return a prompt as it is written in a collection file.

    Raises:
        PromptFileEditError: The file can't be read, or has no such prompt.
    """
    text = _read(prompts_dir, name)
    entry = _entry(_parsed(text, name), prompt_id, name)
    return PromptSource(_sha256(text), str(entry["text"]), dict(entry.get("inputs") or {}))


def edited(prompts_dir: Path, name: str, edit: PromptEdit, sha256: str) -> str:
    """Return what a collection file would be after an edit; nothing is written.

    Raises:
        PromptFileChangedError: The file has another SHA-256 by now.
        PromptFileEditError: It can't be changed so.
    """
    text = _read(prompts_dir, name)
    if _sha256(text) != sha256:
        raise PromptFileChangedError(
            f"{name} was changed meanwhile.", hint="Look at the prompt again, and edit it anew."
        )
    _parsed(text, name)  # its bounds hold for the other reader too
    changed = _changed(text, edit, name)
    _check(text, changed, edit, name)
    return changed


def write_edit(prompts_dir: Path, name: str, edit: PromptEdit, sha256: str) -> str:
    """Change a prompt in its file, and return the file's new SHA-256.

    Raises:
        PromptFileChangedError: The file has another SHA-256 by now.
        PromptFileEditError: It can't be changed so, or not be written.
    """
    # Through links, as it is read: a link stays a link.
    path = resolve_inside(prompts_dir, name)
    with _locked(path.parent):
        changed = edited(prompts_dir, name, edit, sha256)
        try:
            mode = path.stat().st_mode & 0o777
            write_atomically(path, changed)
            path.chmod(mode)
        except OSError as error:
            raise PromptFileEditError(
                f"{name} can't be written: {error.strerror or error}.",
                hint="Is the prompts folder the service's to write?",
            ) from None
    return _sha256(changed)


def _read(prompts_dir: Path, name: str) -> str:
    try:
        # A byte order mark and foreign line ends would not survive; such files are refused below.
        return read_utf8(prompts_dir / name, inside=prompts_dir)
    except SourceError as error:
        raise PromptFileEditError(f"{name}: {error.message}", hint=error.hint) from None


def _parsed(text: str, name: str) -> dict[str, Any]:
    try:
        document = parse_yaml(text).value
    except SourceError as error:
        raise PromptFileEditError(f"{name}: {error.message}", hint=error.hint) from None
    if not isinstance(document, dict):
        raise PromptFileEditError(f"{name} is no collection.")
    return document


def _entry(document: Mapping[str, Any], prompt_id: str, name: str) -> dict[str, Any]:
    listed = document.get("prompts")
    found = [
        cast("dict[str, Any]", each)
        for each in (cast("list[object]", listed) if isinstance(listed, list) else [])
        if isinstance(each, dict) and cast("dict[str, Any]", each).get("id") == prompt_id
    ]
    if len(found) != 1:
        raise PromptFileEditError(
            f"{name} has {len(found) or 'no'} prompts with the id {prompt_id!r}."
            if found
            else f"{name} has no prompt {prompt_id!r} any more."
        )
    return found[0]


def _changed(text: str, edit: PromptEdit, name: str) -> str:
    """Return the file with the edit, in the indentation that changes the fewest other lines."""
    found: list[tuple[int, str]] = []
    for mapping, sequence, offset in _INDENTS:
        same = _rewritten(text, None, (mapping, sequence, offset), name)
        if same == text:
            return _rewritten(text, edit, (mapping, sequence, offset), name)
        found.append(
            (_lines_apart(text, same), _rewritten(text, edit, (mapping, sequence, offset), name))
        )
    return min(found, key=lambda each: each[0])[1]


def _lines_apart(old: str, new: str) -> int:
    matcher = difflib.SequenceMatcher(None, old.splitlines(), new.splitlines(), autojunk=False)
    same = sum(block.size for block in matcher.get_matching_blocks())
    return len(old.splitlines()) + len(new.splitlines()) - 2 * same


def _rewritten(text: str, edit: PromptEdit | None, indent: tuple[int, int, int], name: str) -> str:
    from ruamel.yaml import YAML  # noqa: PLC0415 -- for edits alone
    from ruamel.yaml.error import YAMLError  # noqa: PLC0415 -- as above

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = _WIDTH
    yaml.allow_unicode = True
    yaml.explicit_start = text.startswith("---") or None
    mapping, sequence, offset = indent
    yaml.indent(mapping=mapping, sequence=sequence, offset=offset)
    try:
        document: Any = yaml.load(text)
        if edit is not None:
            _apply(_entry(document, edit.prompt_id, name), edit)
        target = io.StringIO()
        yaml.dump(document, target)
    except (YAMLError, ValueError, TypeError) as error:
        raise PromptFileEditError(
            f"{name} can't be edited here: {str(error).splitlines()[0][:200]}",
            hint="Change it in an editor.",
        ) from None
    written = target.getvalue()
    return written if text.endswith("\n") else written.removesuffix("\n")


def _apply(entry: Any, edit: PromptEdit) -> None:  # noqa: ANN401 -- ruamel's mapping
    from ruamel.yaml.scalarstring import (  # noqa: PLC0415 -- for edits alone
        DoubleQuotedScalarString,
        LiteralScalarString,
        SingleQuotedScalarString,
    )

    if edit.text is not None and str(entry["text"]) != edit.text:
        if "\n" in edit.text and edit.text == edit.text.strip():
            entry["text"] = LiteralScalarString(edit.text + "\n")
        else:
            # In the quotes that it had; none at all would turn some texts into numbers.
            single = isinstance(entry["text"], SingleQuotedScalarString)
            quoted = SingleQuotedScalarString if single else DoubleQuotedScalarString
            entry["text"] = quoted(edit.text)
    if edit.inputs is None:
        return
    if not edit.inputs:
        entry.pop("inputs", None)
        return
    if not entry.get("inputs"):
        entry["inputs"] = dict(edit.inputs)
        return
    inputs = entry["inputs"]
    for left in [key for key in inputs if key not in edit.inputs]:
        del inputs[left]
    for key, value in edit.inputs.items():
        if key not in inputs or inputs[key] != value or type(inputs[key]) is bool:
            inputs[key] = value


def _check(old: str, new: str, edit: PromptEdit, name: str) -> None:
    """Refuse an edit that does more, or less, than it is meant to.

    Anchors and merge keys are what makes one prompt's change another's.
    """
    before, after = _parsed(old, name), _parsed(new, name)
    entry = _entry(before, edit.prompt_id, name)
    if edit.text is not None:
        entry["text"] = edit.text
    if edit.inputs is not None:
        entry.pop("inputs", None)
        if edit.inputs:
            entry["inputs"] = dict(edit.inputs)
    changed = _entry(after, edit.prompt_id, name)
    if isinstance(changed.get("text"), str):
        changed["text"] = changed["text"].strip()
    entry["text"] = str(entry["text"]).strip()
    if before != after:
        raise PromptFileEditError(
            f"{name} can't be edited here without changing more than this prompt.",
            hint="Change it in an editor.",
        )


@contextlib.contextmanager
def _locked(folder: Path) -> Generator[None]:
    """Let one process at a time edit files of a folder; editors don't know of it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
