"""CSV, TSV and JSON Lines to a collection file."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.catalog.reader import Catalog
from asset_pipeline.config.yaml_source import SourceError, read_utf8
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.files import write_atomically
from asset_pipeline.prompts.library import FOLDERS, load_library
from asset_pipeline.prompts.resolver import Collection, Resolver
from asset_pipeline.prompts.spec import (
    MAX_VARIANTS,
    MOST_PROBLEMS,
    CollectionDefaults,
    Problem,
    Prompt,
    PromptEntry,
    problems_left_out,
)
from asset_pipeline.prompts.tables import BadRow, Row, check_size, read_rows
from asset_pipeline.prompts.text import ID_RULE, clean, is_id, objection, slug, with_digest
from asset_pipeline.prompts.yaml_writer import collection_yaml


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """What to import, and as what.

    Attributes:
        source: A .csv, .tsv or .jsonl file.
        text_column: The column (in JSON Lines the field) that holds the text.
        id_column: The one that holds the id; without it ids are slugs of the texts.
        collection: The collection's name; the source's, as a slug, if not given.
        overwrite: Whether a collection file of that name may be replaced.
    """

    source: Path
    kind: Kind
    model: str
    variants: int = 1
    text_column: str = "text"
    id_column: str | None = None
    collection: str | None = None
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What came of an import; :attr:`path` was written if anything was imported."""

    imported: int
    problems: tuple[Problem, ...]
    path: Path


def import_prompts(
    request: ImportRequest, prompts_dir: Path, catalog: Catalog, *, on: date | None = None
) -> ImportReport:
    """Turn a table into a collection file; bad rows are reported, the others imported.

    Args:
        request: What to import.
        prompts_dir: The prompts folder; the file goes below its ``images`` or ``audio``.
        catalog: What models there are.
        on: The day whose prices must be known; today (UTC) if not given.

    Raises:
        AssetPipelineError: Nothing can be imported: the source cannot be read or has no such
            column, model or collection name are wrong, or the file exists already.
    """
    day = on or datetime.now(UTC).date()
    collection = _collection(request)
    target = prompts_dir / collection.path
    if target.exists() and not request.overwrite:
        raise AssetPipelineError(
            f"{target} exists already.", hint="Choose another collection name, or overwrite it."
        )
    resolver = Resolver(prompts_dir, catalog, on=day)
    resolver.model(request.model, request.kind)
    try:
        text = read_utf8(request.source)
        check_size(text)
    except SourceError as error:
        raise AssetPipelineError(f"{request.source}: {error.message}", hint=error.hint) from None
    columns = [request.text_column, *([request.id_column] if request.id_column else [])]
    rows = read_rows(text, request.source.suffix, columns)
    prompts_dir.mkdir(parents=True, exist_ok=True)
    taken = {
        prompt_id: prompt.path
        for prompt_id, prompt in load_library(prompts_dir, catalog, on=day)
        .of_kind(request.kind)
        .items()
        if prompt.path != collection.path
    }
    importing = _Importing(request, resolver, collection, taken)
    entries = list(importing.entries(rows))
    if entries:
        write_atomically(target, collection_yaml(collection, entries))
    problems = importing.problems
    if importing.left_out:
        problems.append(problems_left_out(request.source.name, importing.left_out))
    return ImportReport(len(entries), tuple(problems), target)


def _collection(request: ImportRequest) -> Collection:
    name = slug(request.source.stem) if request.collection is None else request.collection
    if not is_id(name):
        raise AssetPipelineError(f"{name!r} is no name for a collection.", hint=f"It is {ID_RULE}.")
    if not 1 <= request.variants <= MAX_VARIANTS:
        raise AssetPipelineError(
            f"{request.variants} variants cannot be had.", hint=f"Ask for 1 to {MAX_VARIANTS}."
        )
    defaults = CollectionDefaults(model=request.model, variants=request.variants)
    return Collection(request.kind, name, f"{FOLDERS[request.kind]}/{name}.yaml", defaults)


class _Importing:
    """One import under way: which ids are given out, and what was wrong so far."""

    def __init__(
        self,
        request: ImportRequest,
        resolver: Resolver,
        collection: Collection,
        taken: dict[str, str],
    ) -> None:
        self.problems: list[Problem] = []
        self.left_out = 0
        self._same: Counter[str] = Counter()
        self._request = request
        self._resolver = resolver
        self._collection = collection
        self._taken = taken

    def entries(self, rows: Iterator[Row | BadRow]) -> Iterator[PromptEntry]:
        for row in rows:
            if isinstance(row, BadRow):
                self._report(row.line, None, row.message)
            elif entry := self._entry(row):
                self._taken[entry.id] = f"line {row.line}"
                yield entry

    def _entry(self, row: Row) -> PromptEntry | None:
        """Return the prompt of a row, or None when something about it was reported."""
        column = self._request.text_column
        written = row.cells.get(column)
        if not isinstance(written, str):
            wrong = "it is missing." if written is None else f"{written!r} is not text."
            return self._report(row.line, column, wrong)
        text = clean(written)
        if wrong := objection(text):
            return self._report(row.line, column, wrong)
        prompt_id = self._id(row, text)
        if prompt_id is None:
            return None
        entry = PromptEntry(id=prompt_id, text=text)
        result = self._resolver.resolve(entry, self._collection)
        if isinstance(result, Prompt):
            return entry
        for finding in result:
            field = column if finding.where == ("text",) else None
            self._report(row.line, field, finding.message, finding.hint)
        return None

    def _id(self, row: Row, text: str) -> str | None:
        column = self._request.id_column
        if column is None:
            return self._free_slug(text)
        written = row.cells.get(column)
        # In JSON Lines an id is as often a number as a text.
        given = str(written) if type(written) is int else written
        if not isinstance(given, str) or not is_id(given.strip()):
            hint = f"An id is {ID_RULE}; {slug(text)} would do."
            return self._report(row.line, column, f"{written!r} is not an id.", hint)
        given = given.strip()
        if given in self._taken:
            wrong = f"the id {given} is taken by {self._taken[given]}."
            return self._report(row.line, column, wrong, "Ids are unique within a kind.")
        return given

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
        if len(self.problems) >= MOST_PROBLEMS:
            self.left_out += 1
            return
        path = self._request.source.name
        self.problems.append(Problem(path, line, field, None, message, hint))
