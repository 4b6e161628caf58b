"""One collection file to its prompts and its problems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import JsonValue, ValidationError

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.config.error_messages import MOST_TOLD, complaint
from asset_pipeline.config.yaml_source import (
    Document,
    FieldPath,
    SourceError,
    lines_of,
    parse_yaml,
    read_utf8,
)
from asset_pipeline.prompts.entry_blocks import mended
from asset_pipeline.prompts.matrix import Cell, Matrix, MatrixFlaw, read_matrix, size_flaw
from asset_pipeline.prompts.provenance import read_policy
from asset_pipeline.prompts.rendition_specs import read_renditions
from asset_pipeline.prompts.resolver import Collection, FieldProblem, Resolver, check_generic
from asset_pipeline.prompts.spec import (
    MOST_PROBLEMS,
    CollectionDefaults,
    CollectionFile,
    Problem,
    Prompt,
    PromptEntry,
    problems_left_out,
)
from asset_pipeline.prompts.text import ID_RULE, clean, is_id, objection, slug

_PROMPT_DEPTH = 2  # ("prompts", index)

# A prompt may have so many tags or inputs; a file may hold a million.
_MOST_ITEMS = 1_000


@dataclass(frozen=True, slots=True)
class CollectionRules:
    """What happens to a collection's prompts automatically.

    Attributes:
        name: The collection's.
        auto: Whether new and edited prompts are generated.
        prune: Whether a prompt that leaves the file loses its partition.
        require_approval: Whether clips are published only when a person has approved them.
        retake_rejected: Whether another take of a rejected clip is made, within the budgets.
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
        ids: Every legal id by index, also of bad prompts: they count as duplicates too.
        problems: What is wrong, in the order of lines.
        rules: What the file says of all its prompts; None if that part can't be read.
    """

    prompts: dict[int, Prompt] = field(default_factory=dict[int, Prompt])
    ids: dict[int, str] = field(default_factory=dict[int, str])
    problems: list[Problem] = field(default_factory=list[Problem])
    rules: CollectionRules | None = None


def read_collection(
    prompts_dir: Path, kind: Kind, *, name: str, label: str, resolver: Resolver
) -> Contents:
    """Read a collection file; each error in it becomes a problem, and nothing is raised.

    Args:
        prompts_dir: The prompts folder, which the file must lie in once links are followed.
        kind: What its prompts make.
        name: The file's name in prompts: its path relative to the prompts folder.
        label: The file's name for people, in problems.
        resolver: Completes and checks each prompt.
    """
    if objection(name) or "\n" in name:
        wrong = "The file's name holds what is no text."
        return Contents(problems=[Problem(label, None, None, None, wrong, "Rename it.")])
    try:
        text = read_utf8(prompts_dir / name, inside=prompts_dir)
        text, left_out, names = mended(text)
        document = parse_yaml(text)
        reading = _Reading(kind, name, resolver, names)
        reading.read(Document(document.value, (*left_out, *document.flaws)))
        problems = reading.problems(label, text)
    except SourceError as error:
        problem = Problem(label, error.line, None, None, error.message, error.hint)
        return Contents(problems=[problem])
    return Contents(reading.prompts, reading.ids, problems, reading.rules)


def prompt_lines(prompts_dir: Path, name: str, indexes: Sequence[int]) -> list[int | None]:
    """Return the lines on which these prompts' ids stand in a collection file.

    They are None when the file can't be read any more.
    """
    try:
        text = read_utf8(prompts_dir / name, inside=prompts_dir)
        text, _, _ = mended(text)
        return [*lines_of(text, [("prompts", index, "id") for index in indexes])]
    except SourceError:
        return [None] * len(indexes)


class _Reading:
    """Reads one document and collects the errors with their places in the file."""

    def __init__(self, kind: Kind, name: str, resolver: Resolver, names: Mapping[int, str]) -> None:
        self.prompts: dict[int, Prompt] = {}
        self.ids: dict[int, str] = {index: it for index, it in names.items() if is_id(it)}
        self.rules: CollectionRules | None = None
        self._names: dict[int, str] = dict(names)
        self._findings: list[tuple[FieldProblem, int | None]] = []
        self._left_out = 0
        self._kind = kind
        self._name = name
        self._resolver = resolver

    def read(self, document: Document) -> None:
        flawed: set[int | None] = set()
        # A default that is cut concerns the prompts that go by it, and no others.
        cut: set[str] = set()
        for flaw in document.flaws:
            match flaw.path:
                case ("defaults", "style" as name):
                    cut.add(name)
                case _:
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
        matrix, wrong = read_matrix(file.matrix)
        self._find_flaws(wrong)
        usable = None not in flawed and collection is not None and not wrong
        templates: dict[int | None, PromptEntry] = {}
        for index, raw in enumerate(file.prompts):
            self._note_id(index, raw)
            entry = None if index in flawed else self._entry(index, raw)
            if entry is None or not cut <= entry.model_fields_set:
                continue
            if not usable or collection is None:
                continue
            if matrix is not None and matrix.text is None:
                templates[index] = entry
            else:
                self._resolve(index, entry, collection)
        if matrix is not None and usable and not cut and collection is not None:
            self._sweep(matrix, templates, collection, beyond=len(file.prompts))

    def problems(self, label: str, text: str) -> list[Problem]:
        """Return the problems with their lines; it costs nothing if there are none."""
        if not self._findings:
            return []
        lines = lines_of(text, [finding.where for finding, _ in self._findings])
        found = [
            self._problem(label, finding, line if known is None else known)
            for (finding, known), line in zip(self._findings, lines, strict=True)
        ]
        found.sort(key=lambda problem: problem.line or 0)
        if self._left_out:
            found.append(problems_left_out(label, self._left_out))
        return found

    def _file(self, value: JsonValue) -> CollectionFile | None:
        if not isinstance(value, dict):
            wrong = "The file is empty." if value is None else "The file is not a mapping."
            self._find((), wrong, "It needs at least 'prompts:' with a list below it.")
            return None
        if self._is_too_wide((), {name: it for name, it in value.items() if name != "prompts"}):
            return None
        if value.get("matrix") is not None:
            value = {"prompts": [], **value}  # a sweep may have a text of its own
        try:
            return CollectionFile.model_validate(value)
        except ValidationError as error:
            for issue in error.errors(include_url=False):
                inner = issue["loc"][:1] == ("defaults",) and len(issue["loc"]) > 1
                fields = (CollectionDefaults if inner else CollectionFile).model_fields
                self._find(issue["loc"], *complaint(issue, fields))
            return None

    def _collection(self, file: CollectionFile) -> Collection | None:
        """Return what the prompts share, or None if it is wrong for all of them."""
        name = slug(Path(self._name).stem) if file.collection is None else file.collection
        renditions, wrong = read_renditions(self._kind, file.renditions)
        generic = tuple(map(clean, file.generic_prompts))
        policy, unclear = read_policy(file.provenance)
        collection = Collection(
            self._kind, name, self._name, file.defaults, renditions, generic, policy
        )
        findings = self._resolver.check_defaults(collection)
        findings.extend(check_generic(generic, self._kind))
        findings.extend(
            FieldProblem(("renditions", *where), message, hint) for where, message, hint in wrong
        )
        findings.extend(
            FieldProblem(("provenance", *where), message, hint) for where, message, hint in unclear
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

    def _is_too_wide(self, where: FieldPath, mapping: dict[str, JsonValue]) -> bool:
        """Tell whether there is more in a mapping, or below it, than anybody means; say so."""
        named: tuple[tuple[FieldPath, JsonValue], ...] = (
            (where, mapping),
            *(((*where, name), value) for name, value in mapping.items()),
        )
        for place, value in named[: _MOST_ITEMS + 1]:
            if not isinstance(value, str) and isinstance(value, Sized) and len(value) > _MOST_ITEMS:
                message = f"{len(value):,} are too many; at most {_MOST_ITEMS:,} are read."
                self._find(place, message, "Check that this is what you meant to write.")
                return True
        return False

    def _entry(self, index: int, raw: JsonValue) -> PromptEntry | None:
        if isinstance(raw, dict) and self._is_too_wide(("prompts", index), raw):
            return None
        try:
            return PromptEntry.model_validate(raw)
        except ValidationError as error:
            if len(self._findings) >= MOST_PROBLEMS:
                self._left_out += error.error_count()
                return None
            issues = error.errors(include_url=False)
            self._left_out += len(issues[MOST_TOLD:])
            for issue in issues[:MOST_TOLD]:
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
        self._left_out += len(result[MOST_TOLD:])
        for finding in result[:MOST_TOLD]:
            self._find(("prompts", index, *finding.where), finding.message, finding.hint)

    def _sweep(
        self,
        matrix: Matrix,
        templates: dict[int | None, PromptEntry],
        collection: Collection,
        *,
        beyond: int,
    ) -> None:
        """Resolve what a matrix comes to; its prompts are counted on behind those of the file."""
        if matrix.text is not None:
            templates = {None: PromptEntry(id=matrix.name or collection.name, text=matrix.text)}
        for index in templates:
            if index is not None:  # a template is no prompt itself
                self.ids.pop(index, None)
        flaw = size_flaw(matrix, len(templates))
        if not templates:
            flaw = MatrixFlaw(("text",), "there is nothing to multiply.", "Give it a text.")
        if flaw is not None:
            self._find_flaws([flaw])
            return

        def seed_input(model: str | None) -> str | None:
            return self._resolver.seed_input(model or collection.defaults.model, collection.kind)

        for number, cell in enumerate(matrix.cells(templates, seed_input), start=beyond):
            self._make_cell(number, cell, matrix.axes, collection)

    def _make_cell(
        self, number: int, cell: Cell, axes: tuple[str, ...], collection: Collection
    ) -> None:
        at: FieldPath = ("matrix",) if cell.template is None else ("prompts", cell.template)
        if cell.flaw is not None:
            self._find((*at, *cell.flaw.where), cell.flaw.message, cell.flaw.hint)
            return
        self.ids[number] = cell.entry.id
        result = self._resolver.resolve(cell.entry, collection)
        if isinstance(result, Prompt):
            self.prompts[number] = replace(result, axes=axes)
            return
        self._left_out += len(result[MOST_TOLD:])
        for finding in result[:MOST_TOLD]:
            told = f"{cell.entry.id}: {finding.message}"
            self._find((*at, *finding.where), told, finding.hint)

    def _find_flaws(self, flaws: Sequence[MatrixFlaw]) -> None:
        for flaw in flaws:
            self._find(("matrix", *flaw.where), flaw.message, flaw.hint)

    def _find(self, where: FieldPath, message: str, hint: str, *, line: int | None = None) -> None:
        if len(self._findings) >= MOST_PROBLEMS:
            self._left_out += 1
            return
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
