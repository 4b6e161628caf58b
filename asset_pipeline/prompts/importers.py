"""A table of any form to a collection file: every column kept, every refusal told."""

from __future__ import annotations

import itertools
import json
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import cast

from pydantic import JsonValue

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.catalog.reader import Catalog
from asset_pipeline.catalog.spec import Model
from asset_pipeline.config.suggestions import did_you_mean
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.files import write_atomically
from asset_pipeline.prompts.cells import CellError, as_input, as_integer, as_tags, as_text
from asset_pipeline.prompts.columns import ColumnMap, map_columns
from asset_pipeline.prompts.library import FOLDERS, Library, load_library
from asset_pipeline.prompts.resolver import Collection, Resolver
from asset_pipeline.prompts.source_file import read_source
from asset_pipeline.prompts.spec import (
    MAX_VARIANTS,
    MOST_PROBLEMS,
    CollectionDefaults,
    Problem,
    Prompt,
    PromptEntry,
    problems_left_out,
)
from asset_pipeline.prompts.tables import BadRow, Form, Row, Table, read_table
from asset_pipeline.prompts.text import ID_RULE, clean, id_of, is_id, objection, slug, with_digest
from asset_pipeline.prompts.update import Sheet, Update, merge, remember, remembered
from asset_pipeline.prompts.workbook import is_error
from asset_pipeline.prompts.yaml_writer import collection_yaml

MODELS = {Kind.IMAGE: "black-forest-labs/flux-schnell", Kind.AUDIO: "jaaari/kokoro-82m"}
"""What makes the prompts of a table that names no model: a cheap one of each kind."""

_VOICES = ("voice", "voice_id", "speaker", "speaker_id", "history_prompt")
_MARKED = re.compile("'+[=+@-]")
_LOOKED_AT = 100
_NO_SEED = frozenset(("-1", "random", "auto"))


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """What to import, and as what.

    Attributes:
        source: The table.
        kind: What to make; told from the columns if not given.
        model: Makes the prompts that name no model; a cheap one of the kind if not given.
        mapping: Field by column, over what the names of the columns say.
        collection: The collection's name; the source's, as a slug, if not given.
        overwrite: Whether a collection file of that name may be replaced.
        update: Whether one is to be changed by what changed in the table.
        form: How to read the table.
    """

    source: Path
    kind: Kind | None = None
    model: str | None = None
    variants: int = 1
    mapping: Mapping[str, str] = field(default_factory=dict[str, str])
    collection: str | None = None
    overwrite: bool = False
    update: bool = False
    form: Form = field(default_factory=Form)


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What came of an import, or would come of it.

    Attributes:
        imported: How many rows became prompts.
        problems: What is wrong with the others, in the order of lines.
        path: The collection file; :meth:`Import.write` writes it.
        columns: What each column becomes.
        notes: How the table was read, and what was changed on the way, for people.
        update: What an update adds, changes and removes.
        examples: The first cell of each column that holds anything.
    """

    imported: int
    problems: tuple[Problem, ...]
    path: Path
    kind: Kind = Kind.IMAGE
    model: str = ""
    columns: Mapping[str, str] = field(default_factory=dict[str, str])
    notes: tuple[str, ...] = ()
    update: Update | None = None
    examples: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Import:
    """An import that is ready: looking at the report costs nothing, writing comes last."""

    report: ImportReport
    _text: str | None
    _sheet: Sheet

    def write(self) -> ImportReport:
        """Write the collection file, if a row became a prompt."""
        if self._text is not None:
            self.report.path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self.report.path, self._text)
            remember(self.report.path, self._sheet)
        return self.report


def import_prompts(
    request: ImportRequest, prompts_dir: Path, catalog: Catalog, *, on: date | None = None
) -> ImportReport:
    """Turn a table into a collection file; bad rows are reported, the others imported.

    Raises:
        AssetPipelineError: As :func:`prepare` does.
    """
    return prepare(request, prompts_dir, catalog, on=on).write()


def prepare(
    request: ImportRequest, prompts_dir: Path, catalog: Catalog, *, on: date | None = None
) -> Import:
    """Read a table and say what would become of it; nothing is written yet.

    Args:
        request: What to import.
        prompts_dir: The prompts folder; the file goes below its ``images`` or ``audio``.
        catalog: What models there are.
        on: The day whose prices must be known; today (UTC) if not given.

    Raises:
        AssetPipelineError: Nothing can be imported: the source cannot be read or has no text,
            model or collection name are wrong, or the file exists already.
    """
    day = on or datetime.now(UTC).date()
    table = _read(request)
    columns, kind, model = _mapped(request, table, catalog)
    collection = _collection(request, kind, model)
    target = prompts_dir / collection.path
    if target.exists() and not (request.overwrite or request.update):
        raise AssetPipelineError(
            f"{target} exists already.",
            hint="Take over what changed with --update, replace it with --overwrite, or choose "
            "another name with --collection.",
        )
    resolver = Resolver(prompts_dir, catalog, on=day)
    resolver.model(model, kind)
    library = (
        load_library(prompts_dir, catalog, on=day) if prompts_dir.is_dir() else Library({}, ())
    )
    taken = {
        prompt_id: prompt.path
        for prompt_id, prompt in library.of_kind(kind).items()
        if prompt.path != collection.path
    }
    rows = RowReader(request, catalog, resolver, collection, columns, taken)
    entries = list(rows.entries(table.rows))
    if not table.rows:
        rows.problems.append(
            Problem(request.source.name, None, None, None, "there is no row below the header.", "")
        )
    sheet = Sheet.of(entries)
    text, update = None, None
    if entries and request.update and target.exists():
        text, update = merge(target, sheet, remembered(target), _owned(columns), rows.refused)
    elif entries:
        text = collection_yaml(collection, entries)
    report = ImportReport(
        len(entries),
        rows.told(),
        target,
        kind,
        model,
        columns.columns,
        (*table.notes, *rows.notes()),
        update,
        _examples(table),
    )
    return Import(report, text, sheet)


def _examples(table: Table) -> dict[str, str]:
    found: dict[str, str] = {}
    for row in table.rows[:_LOOKED_AT]:
        for name, value in row.cells.items() if isinstance(row, Row) else ():
            if name not in found and value not in (None, ""):
                found[name] = value if isinstance(value, str) else json.dumps(value)
    return found


def _read(request: ImportRequest) -> Table:
    try:
        return read_table(read_source(request.source), request.source.suffix, request.form)
    except AssetPipelineError as error:
        if str(request.source) in error.message:
            raise
        raise AssetPipelineError(f"{request.source}: {error.message}", hint=error.hint) from None


def _owned(columns: ColumnMap) -> frozenset[str]:
    """Return the fields that the table says something of, so that an update may change them."""
    return frozenset(field.partition(".")[0] for field in columns.columns.values())


def _mapped(request: ImportRequest, table: Table, catalog: Catalog) -> tuple[ColumnMap, Kind, str]:
    """Return what the columns become, and for which kind and model.

    Raises:
        AssetPipelineError: No column is the text, or the model is unknown.
    """
    models: list[Model] = []
    if request.model is not None:
        models = [catalog.get(request.model)]
    elif request.kind is not None:
        models = [it for it in catalog.models.values() if it.kind is request.kind]
    else:
        models = list(catalog.models.values())
    columns = map_columns(table.names, request.mapping, models, table.samples)
    kind = request.kind or (
        models[0].kind
        if request.model is not None
        else Kind.AUDIO
        if columns.column_of("voice")
        else Kind.IMAGE
    )
    return columns, kind, request.model or MODELS[kind]


def _collection(request: ImportRequest, kind: Kind, model: str) -> Collection:
    name = slug(request.source.stem) if request.collection is None else request.collection
    if not is_id(name):
        raise AssetPipelineError(f"{name!r} is no name for a collection.", hint=f"It is {ID_RULE}.")
    if not 1 <= request.variants <= MAX_VARIANTS:
        raise AssetPipelineError(
            f"{request.variants} variants cannot be had.", hint=f"Ask for 1 to {MAX_VARIANTS}."
        )
    defaults = CollectionDefaults(model=model, variants=request.variants)
    return Collection(kind, name, f"{FOLDERS[kind]}/{name}.yaml", defaults)


class RowReader:
    """Rows to entries: which ids are given out, what was wrong so far and what was changed.

    Attributes:
        problems: What is wrong, in the order of lines; the first so many of them.
        found: How many problems there are.
        refused: The ids of rows that were refused: an update leaves their prompts alone.
    """

    def __init__(
        self,
        request: ImportRequest,
        catalog: Catalog,
        resolver: Resolver,
        collection: Collection,
        columns: ColumnMap,
        taken: dict[str, str],
    ) -> None:
        self.problems: list[Problem] = []
        self.found = 0
        self.refused: set[str] = set()
        self._same: Counter[str] = Counter()
        self._request = request
        self._catalog = catalog
        self._resolver = resolver
        self._collection = collection
        self._columns = columns
        self._column_of = {field: name for name, field in columns.columns.items()}
        self._taken = taken
        self._kept: Counter[tuple[str, str]] = Counter()
        self._ids: list[tuple[str, str]] = []
        self._marks = 0
        self._models: dict[str, str] = {}

    def entries(self, rows: Iterable[Row | BadRow]) -> Iterator[PromptEntry]:
        """Yield the prompt of each good row; the others become problems."""
        for row in rows:
            if isinstance(row, BadRow):
                self._report(row.line, None, row.message)
            elif entry := self._entry(row):
                self._taken[entry.id] = f"line {row.line}"
                yield entry

    def told(self) -> tuple[Problem, ...]:
        """Return the problems, and at the end how many more there are."""
        left_out = self.found - MOST_PROBLEMS
        more = [problems_left_out(self._request.source.name, left_out)] if left_out > 0 else []
        return (*self.problems, *more)

    def notes(self) -> Iterator[str]:
        """Yield what was changed on the way, each kind of change once."""
        if self._ids:
            before, after = self._ids[0]
            many = len(self._ids)
            yield (
                f"{many:,} id{'s were' if many > 1 else ' was'} made valid, such as {before!r} to "
                f"{after}: an id is {ID_RULE}"
            )
        for (column, why), count in self._kept.items():
            rows = f"{count:,} row{'s' if count > 1 else ''}"
            yield f"{column}: {why}, so it is kept as a field ({rows})"
        if self._marks:
            yield f"{self._marks:,} cells began with an apostrophe before a sign of a formula: it was dropped"  # noqa: E501

    def _entry(self, row: Row) -> PromptEntry | None:
        """Return the prompt of a row, or None when something about it was reported."""
        before = self.found
        cells = {name: self._plain(value) for name, value in row.cells.items()}
        text = self._text(row.line, cells)
        found = self._values(row.line, cells)
        prompt_id = None if text is None else self._id(row.line, cells, text, found)
        if self.found > before or text is None or prompt_id is None:
            self._refuse(cells)
            return None
        entry = PromptEntry.model_validate({"id": prompt_id, "text": text, **found})
        result = self._resolver.resolve(entry, self._collection)
        if isinstance(result, Prompt):
            return entry
        for finding in result:
            self._report(row.line, self._place(finding.where), finding.message, finding.hint)
        self._refuse(cells)
        return None

    def _refuse(self, cells: Mapping[str, JsonValue]) -> None:
        written = cells.get(self._column_of.get("id", ""))
        if isinstance(written, str | int):
            self.refused.add(id_of(str(written)))

    def _place(self, where: tuple[str | int, ...]) -> str:
        field = ".".join(map(str, where[:2]))
        return self._column_of.get(field, field)

    def _plain(self, value: JsonValue) -> JsonValue:
        """Drop the apostrophe that keeps a spreadsheet from taking a text for a formula."""
        if isinstance(value, str) and _MARKED.match(value):
            self._marks += 1
            return value[1:]
        return value

    def _text(self, line: int, cells: Mapping[str, JsonValue]) -> str | None:
        column = self._column_of["text"]
        written = cells.get(column)
        if written is None:
            return self._report(line, column, "it is empty.")
        if not isinstance(written, str):
            return self._report(line, column, f"{written!r} is not text.")
        text = clean(written)
        wrong = objection(text)
        if is_error(text):
            wrong = f"the cell holds the error {text}."
        return self._report(line, column, wrong) if wrong else text

    def _values(self, line: int, cells: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
        """Return what a row says beside id and text."""
        found: dict[str, JsonValue] = {}
        inputs: dict[str, JsonValue] = {}
        fields: dict[str, JsonValue] = {}
        model = self._model(line, cells.get(self._column_of.get("model", "")))
        if model is not None and model.name != self._collection.defaults.model:
            found["model"] = model.name
        for column, field_name in self._columns.columns.items():
            value = cells.get(column)
            if value is None or value == "" or field_name in {"id", "text", "model"}:
                continue
            try:
                self._take(column, field_name, value, model, (found, inputs, fields))
            except CellError as error:
                self._report(line, column, str(error))
        if inputs:
            found["inputs"] = inputs
        if fields:
            found["fields"] = fields
        return found

    def _take(
        self,
        column: str,
        field_name: str,
        value: JsonValue,
        model: Model | None,
        into: tuple[dict[str, JsonValue], dict[str, JsonValue], dict[str, JsonValue]],
    ) -> None:
        found, inputs, fields = into
        match field_name:
            case "variants":
                number = as_integer(value)
                if not 1 <= number <= MAX_VARIANTS:
                    raise CellError(f"{number} is not from 1 to {MAX_VARIANTS}.")
                if number != self._collection.defaults.variants:
                    found["variants"] = number
            case "tags":
                found["tags"] = cast("JsonValue", as_tags(value))
            case "style" if self._collection.kind is Kind.AUDIO:
                self._keep(column, "audio prompts have no style", value, fields)
            case "style" | "reference":
                found[field_name] = clean(as_text(value))
            case "inputs":
                self._many(column, value, model, inputs, fields)
            case "seed" if str(value).strip().casefold() in _NO_SEED:
                self._keep(column, f"{value} asks for any seed", value, fields)
            case _ if field_name.startswith("fields."):
                fields[field_name.partition(".")[2]] = value
            case _:
                self._input(column, field_name, value, model, inputs, fields)

    def _many(
        self,
        column: str,
        value: JsonValue,
        model: Model | None,
        inputs: dict[str, JsonValue],
        fields: dict[str, JsonValue],
    ) -> None:
        """Take an object of inputs: each for itself."""
        if not isinstance(value, dict):
            self._keep(column, "it is no object of inputs", value, fields)
            return
        for name, item in value.items():
            if item is not None:
                self._input(f"{column}.{name}", f"inputs.{name}", item, model, inputs, fields)

    def _input(
        self,
        column: str,
        field_name: str,
        value: JsonValue,
        model: Model | None,
        inputs: dict[str, JsonValue],
        fields: dict[str, JsonValue],
    ) -> None:
        """Take a value for an input of the row's model; one that it does not have stays a field."""
        if model is None:
            return
        name = _input_name(field_name, model)
        if name is not None and name in model.inputs and name not in model.fixed_inputs:
            inputs[name] = as_input(value, model.inputs[name])
        elif column in self._columns.explicit:
            inputs[field_name.removeprefix("inputs.")] = value
        else:
            what = field_name.removeprefix("inputs.")
            why = "always sends its own" if name in model.fixed_inputs else "takes no"
            self._keep(column, f"{model.name} {why} {what}", value, fields)

    def _keep(self, column: str, why: str, value: JsonValue, fields: dict[str, JsonValue]) -> None:
        self._kept[column, why] += 1
        fields[column] = value

    def _model(self, line: int, written: JsonValue) -> Model | None:
        column = self._column_of.get("model")
        try:
            name = self._model_name(written)
            return self._resolver.model(name, self._collection.kind)
        except (AssetPipelineError, CellError) as error:
            hint = error.hint if isinstance(error, AssetPipelineError) else ""
            return self._report(line, column, str(error), hint)

    def _model_name(self, written: JsonValue) -> str:
        """Return the catalog's name of a model; people leave the owner out and add the version."""
        default = self._collection.defaults.model or ""
        if written is None:
            return default
        text = as_text(written).strip()
        if not text:
            return default
        if text not in self._models:
            plain = text.partition(":")[0].casefold().removeprefix("https://replicate.com/")
            names = self._catalog.models
            alike = [it for it in names if plain in {it, it.rpartition("/")[2]}] or [
                it for it in names if slug(plain) == slug(it.rpartition("/")[2])
            ]
            self._models[text] = alike[0] if len(alike) == 1 else text
            if len(alike) > 1:
                raise CellError(f"{text!r} could be {' or '.join(alike)}: write owner/name.")
        name = self._models[text]
        if name not in self._catalog.models:
            raise AssetPipelineError(
                f"there is no model {text!r}.", hint=did_you_mean(text, self._catalog.models)
            )
        return name

    def _id(
        self, line: int, cells: Mapping[str, JsonValue], text: str, found: dict[str, JsonValue]
    ) -> str | None:
        column = self._column_of.get("id")
        written = None if column is None else cells.get(column)
        if column is None or written is None:
            return self._free_slug(text)
        # In JSON Lines an id is as often a number as a text.
        if isinstance(written, bool) or not isinstance(written, str | int):
            return self._report(line, column, f"{written!r} is not an id.", f"An id is {ID_RULE}.")
        given = clean(str(written))
        if not given:
            return self._free_slug(text)
        if is_error(given):
            return self._report(line, column, f"the cell holds the error {given}.")
        prompt_id = id_of(given)
        if prompt_id != given:
            if prompt_id in self._taken:
                # Two that were different stay different: A 1 and a-1.
                prompt_id = with_digest(prompt_id[:90], given)
            self._ids.append((given, prompt_id))
            fields = cast("dict[str, JsonValue]", found.setdefault("fields", {}))
            fields.setdefault(column, written)
        if prompt_id in self._taken:
            wrong = f"the id {prompt_id} is taken by {self._taken[prompt_id]}."
            return self._report(line, column, wrong, self._free_hint(column, prompt_id))
        return prompt_id

    def _free_hint(self, column: str, prompt_id: str) -> str:
        hint = "Ids are unique within a kind"
        if self._taken[prompt_id].startswith("line "):
            return f"{hint}: give one of the two another."
        # Two sheets that both count from 1: the number says nothing about the prompt.
        written = shlex.quote(f"{column}=fields.{column}")
        return f"{hint}: --map {written} keeps the column and makes ids of the texts."

    def _free_slug(self, text: str) -> str:
        """Return the text's slug; if it is taken, with a suffix that is always the same."""
        digested = with_digest(slug(text), text)
        candidates = itertools.chain(
            (slug(text), digested),
            # Not from the beginning each time: a table may hold one text a hundred thousand times.
            (f"{digested}-{count}" for count in itertools.count(self._same[digested] + 2)),
        )
        free = next(candidate for candidate in candidates if candidate not in self._taken)
        if free not in (slug(text), digested):
            self._same[digested] = int(free.rpartition("-")[2]) - 1
        return free

    def _report(self, line: int, field: str | None, message: str, hint: str = "") -> None:
        self.found += 1
        if self.found > MOST_PROBLEMS:
            return
        path = self._request.source.name
        self.problems.append(Problem(path, line, field, None, message, hint))


def _input_name(field_name: str, model: Model) -> str | None:
    if field_name == "seed":
        return model.seed_input
    if field_name == "voice":
        return next((name for name in _VOICES if name in model.inputs), None)
    name = field_name.removeprefix("inputs.")
    if name in {"guidance", "guidance_scale"} and name not in model.inputs:
        return next((it for it in ("guidance", "guidance_scale") if it in model.inputs), name)
    return name
