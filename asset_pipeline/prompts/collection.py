"""One collection file to its prompts and its problems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import JsonValue, ValidationError

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.config.error_messages import complaint
from asset_pipeline.config.yaml_source import (
    Document,
    FieldPath,
    SourceError,
    lines_of,
    parse_yaml,
    read_utf8,
)
from asset_pipeline.prompts.entry_blocks import mended
from asset_pipeline.prompts.rendition_specs import read_renditions
from asset_pipeline.prompts.resolver import Collection, FieldProblem, Resolver, check_generic
from asset_pipeline.prompts.spec import (
    CollectionDefaults,
    CollectionFile,
    Problem,
    Prompt,
    PromptEntry,
)
from asset_pipeline.prompts.text import ID_RULE, clean, is_id, objection, slug

_PROMPT_DEPTH = 2  # ("prompts", index)


@dataclass(frozen=True, slots=True)
class CollectionRules:
    """What is done about a collection's prompts without anybody's asking.

    Attributes:
        name: The collection's.
        auto: New and edited ones are generated.
        prune: Those that leave lose their partition.
        require_approval: Their clips are published only when a person has approved them.
        retake_rejected: Of a clip that is rejected another take is made, within the budgets.
    """

    name: str
    auto: bool
    prune: bool
    require_approval: bool = False
    retake_rejected: bool = False


@dataclass(slots=True)
class Contents:
    """What a collection file holds.

    Attributes:
        prompts: The good ones, by their index in the file.
        ids: Every legal id by index, those of bad prompts too: a duplicate is one all the same.
        problems: What is wrong, in the order of lines.
        rules: What the file says of all its prompts; None where it can't be read that far.
    """

    prompts: dict[int, Prompt] = field(default_factory=dict[int, Prompt])
    ids: dict[int, str] = field(default_factory=dict[int, str])
    problems: list[Problem] = field(default_factory=list[Problem])
    rules: CollectionRules | None = None


def read_collection(
    path: Path, kind: Kind, *, name: str, label: str, resolver: Resolver
) -> Contents:
    """Read a collection file; whatever is wrong with it becomes a problem, nothing is raised.

    Args:
        path: The file.
        kind: What its prompts make.
        name: The file's name in prompts: its path relative to the prompts folder.
        label: The file's name for people, in problems.
        resolver: Completes and checks each prompt.
    """
    try:
        text, left_out, names = mended(read_utf8(path))
        document = parse_yaml(text)
    except SourceError as error:
        problem = Problem(label, error.line, None, None, error.message, error.hint)
        return Contents(problems=[problem])
    reading = _Reading(kind, name, resolver, names)
    reading.read(Document(document.value, (*left_out, *document.flaws)))
    return Contents(reading.prompts, reading.ids, reading.problems(label, text), reading.rules)


def prompt_lines(path: Path, indexes: Sequence[int]) -> list[int]:
    """Return the lines on which these prompts' ids stand in a collection file."""
    text, _, _ = mended(read_utf8(path))
    return lines_of(text, [("prompts", index, "id") for index in indexes])


class _Reading:
    """The reading of one document: what is found wrong piles up with its place in the file."""

    def __init__(self, kind: Kind, name: str, resolver: Resolver, names: Mapping[int, str]) -> None:
        self.prompts: dict[int, Prompt] = {}
        self.ids: dict[int, str] = {}
        self.rules: CollectionRules | None = None
        self._names: dict[int, str] = dict(names)
        self._findings: list[tuple[FieldProblem, int | None]] = []
        self._kind = kind
        self._name = name
        self._resolver = resolver
        # What can't be read keeps its id: another prompt may not take it meanwhile.
        self.ids.update(names)

    def read(self, document: Document) -> None:
        flawed: set[int | None] = set()
        for flaw in document.flaws:
            flawed.add(_prompt_index(flaw.path))
            self._find(flaw.path, flaw.message, flaw.hint, line=flaw.line)
        file = self._file(document.value)
        if file is None:
            return
        collection = self._collection(file)
        if collection is not None:
            self.rules = CollectionRules(
                collection.name, file.auto, file.prune, file.require_approval, file.retake_rejected
            )
        usable = None not in flawed and collection is not None
        for index, raw in enumerate(file.prompts):
            self._note_id(index, raw)
            entry = None if index in flawed else self._entry(index, raw)
            if entry is not None and usable and collection is not None:
                self._resolve(index, entry, collection)

    def problems(self, label: str, text: str) -> list[Problem]:
        """Return what was found, each with its line; costs nothing when that is nothing."""
        if not self._findings:
            return []
        lines = lines_of(text, [finding.where for finding, _ in self._findings])
        found = [
            self._problem(label, finding, line if known is None else known)
            for (finding, known), line in zip(self._findings, lines, strict=True)
        ]
        return sorted(found, key=lambda problem: problem.line or 0)

    def _file(self, value: JsonValue) -> CollectionFile | None:
        if not isinstance(value, dict):
            wrong = "The file is empty." if value is None else "The file is not a mapping."
            self._find((), wrong, "It needs at least 'prompts:' with a list below it.")
            return None
        try:
            return CollectionFile.model_validate(value)
        except ValidationError as error:
            for issue in error.errors(include_url=False):
                inner = issue["loc"][:1] == ("defaults",) and len(issue["loc"]) > 1
                fields = (CollectionDefaults if inner else CollectionFile).model_fields
                self._find(issue["loc"], *complaint(issue, fields))
            return None

    def _collection(self, file: CollectionFile) -> Collection | None:
        """Return what the prompts share, or None when that is wrong for all of them."""
        name = slug(Path(self._name).stem) if file.collection is None else file.collection
        renditions, wrong = read_renditions(self._kind, file.renditions)
        generic = tuple(map(clean, file.generic_prompts))
        collection = Collection(self._kind, name, self._name, file.defaults, renditions, generic)
        findings = self._resolver.check_defaults(collection)
        findings.extend(check_generic(generic, self._kind))
        findings.extend(
            FieldProblem(("renditions", *where), message, hint) for where, message, hint in wrong
        )
        if not is_id(name):
            hint = f"A collection's name is {ID_RULE}."
            findings.append(FieldProblem(("collection",), f"{name!r} is no name.", hint))
        self._findings.extend((finding, None) for finding in findings)
        return None if findings else collection

    def _note_id(self, index: int, raw: JsonValue) -> None:
        written = raw.get("id") if isinstance(raw, dict) else None
        if isinstance(written, str):
            self._names[index] = written
            if is_id(written):
                self.ids[index] = written

    def _entry(self, index: int, raw: JsonValue) -> PromptEntry | None:
        try:
            return PromptEntry.model_validate(raw)
        except ValidationError as error:
            for issue in error.errors(include_url=False):
                message, hint = complaint(issue, PromptEntry.model_fields)
                if issue["type"] == "missing" and issue["loc"] == ("id",):
                    hint = _suggested_id(raw)
                self._find(("prompts", index, *issue["loc"]), message, hint)
            return None

    def _resolve(self, index: int, entry: PromptEntry, collection: Collection) -> None:
        result = self._resolver.resolve(entry, collection)
        if isinstance(result, Prompt):
            self.prompts[index] = result
            return
        for finding in result:
            self._find(("prompts", index, *finding.where), finding.message, finding.hint)

    def _find(self, where: FieldPath, message: str, hint: str, *, line: int | None = None) -> None:
        self._findings.append((FieldProblem(where, message, hint), line))

    def _problem(self, label: str, finding: FieldProblem, line: int) -> Problem:
        index = _prompt_index(finding.where)
        below = finding.where if index is None else finding.where[_PROMPT_DEPTH:]
        field_name = ".".join(str(step) for step in below) or None
        prompt_id = None if index is None else self._names.get(index)
        return Problem(label, line, field_name, prompt_id, finding.message, finding.hint)


def _prompt_index(where: FieldPath) -> int | None:
    """Return which prompt a place is in, or None for one that concerns the whole file."""
    match where:
        case ("prompts", int(index), *_):
            return index
        case _:
            return None


def _suggested_id(raw: JsonValue) -> str:
    text = raw.get("text") if isinstance(raw, dict) else None
    if not isinstance(text, str) or objection(clean(text)):
        return f"An id is {ID_RULE}."
    return f"Give it one, such as {slug(clean(text))}."
