"""Adding what the ledger holds to a library that was read from files.

Prompts that came over HTTP stand in collections of the ledger's own. They are completed and checked
by the same rules as those of files, so that a model that left the catalog shows as a problem here
too. An id that a file claims is the file's.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Protocol

from pydantic import ValidationError

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.catalog.reader import Catalog
from asset_pipeline.prompts.library import Library
from asset_pipeline.prompts.resolver import Collection, FieldProblem, Resolver
from asset_pipeline.prompts.spec import CollectionDefaults, Problem, Prompt, PromptEntry

FOLDER = "ledger"
"""Where prompts that stand in no file are said to stand."""


class Stored(Protocol):
    """A prompt that the ledger keeps."""

    @property
    def kind(self) -> Kind: ...  # noqa: D102
    @property
    def prompt_id(self) -> str: ...  # noqa: D102
    @property
    def collection(self) -> str: ...  # noqa: D102
    @property
    def entry_json(self) -> str: ...  # noqa: D102
    @property
    def entry(self) -> Mapping[str, Any]: ...  # noqa: D102


@dataclass(slots=True)
class Uploads:
    """The folder of uploaded files, and their names in it by their ids."""

    folder: Path
    names: Mapping[str, str]


@dataclass(slots=True)
class KeptPrompts:
    """Prompts that were resolved before, while catalog and day stay the same."""

    _catalog: Catalog | None = None
    _day: date | None = None
    _found: dict[tuple[Kind, str], tuple[str, Prompt]] = field(
        default_factory=dict[tuple[Kind, str], tuple[str, Prompt]]
    )
    lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, catalog: Catalog, day: date) -> KeptPrompts:
        """Return itself, emptied when the models or their prices may be others."""
        if (self._catalog, self._day) != (catalog, day):
            self._found.clear()
            self._catalog, self._day = catalog, day
        return self

    def get(self, stored: Stored) -> Prompt | None:
        """Return a prompt that was resolved from the same words."""
        found = self._found.get((stored.kind, stored.prompt_id))
        return found[1] if found is not None and found[0] == stored.entry_json else None

    def keep(self, stored: Stored, prompt: Prompt) -> None:
        """Keep a prompt, unless it rests on a file that may go."""
        if prompt.reference is None:
            self._found[stored.kind, stored.prompt_id] = (stored.entry_json, prompt)


def with_submitted(
    library: Library,
    stored: Sequence[Stored],
    takes: Mapping[tuple[Kind, str], Mapping[int, int]],
    catalog: Catalog,
    prompts_dir: Path,
    uploads: Uploads,
    *,
    kept: KeptPrompts,
) -> Library:
    """Return the library with the ledger's prompts after those of files, and everybody's takes."""
    prompts = dict(library.prompts)
    problems = list(library.problems)
    day = datetime.now(UTC).date()
    with kept.lock:
        known = kept.of(catalog, day)
        resolver = Resolver(uploads.folder, catalog, on=day)
        for each in stored:
            key = (each.kind, each.prompt_id)
            if key in prompts:
                problems.append(_problem(each, "id", "the id is taken by a prompt file."))
                continue
            prompt = known.get(each)
            if prompt is None:
                found = resolve_entry(
                    each.kind, each.collection, each.entry, resolver, prompts_dir, uploads
                )
                if not isinstance(found, Prompt):
                    problems.extend(
                        _problem(each, ".".join(map(str, it.where)), it.message, it.hint)
                        for it in found
                    )
                    continue
                prompt = found
                known.keep(each, prompt)
            prompts[key] = prompt
    for key, of_prompt in takes.items():
        prompt = prompts.get(key)
        if prompt is not None:
            wanted = {
                variant: take
                for variant, take in sorted(of_prompt.items())
                if variant <= prompt.variants
            }
            prompts[key] = replace(prompt, takes=wanted)
    return Library(prompts, tuple(problems), library.rules)


def resolve_entry(
    kind: Kind,
    collection: str,
    entry: Mapping[str, Any],
    resolver: Resolver,
    prompts_dir: Path,
    uploads: Uploads,
    defaults: CollectionDefaults | None = None,
) -> Prompt | list[FieldProblem]:
    """Return the prompt that an entry makes, or all that is wrong with it.

    Args:
        kind: What it makes.
        collection: The ledger's collection that it stands in.
        entry: The fields of a collection file; ``reference`` is the id of an uploaded file.
        resolver: Of the folder of uploads.
        prompts_dir: What the prompt's reference is told relative to.
        uploads: The uploaded files.
        defaults: What its fields fall back to.
    """
    try:
        written = PromptEntry.model_validate(entry)
    except ValidationError as error:
        return [
            FieldProblem(tuple(issue["loc"]), issue["msg"])
            for issue in error.errors(include_url=False)
        ]
    reference = written.reference
    if reference is not None:
        name = uploads.names.get(reference)
        if name is None:
            hint = "POST the file to /api/v1/files and give the id that it gets."
            return [FieldProblem(("reference",), f"{reference!r:.80} is no uploaded file.", hint)]
        written = written.model_copy(update={"reference": name})
    place = Collection(kind, collection, f"{FOLDER}/{collection}", defaults or CollectionDefaults())
    found = resolver.resolve(written, place)
    if isinstance(found, Prompt) and found.reference is not None:
        beside = os.path.relpath(uploads.folder / found.reference, prompts_dir)
        found = replace(found, reference=beside)
    return found


def entry_of(prompt: Prompt, reference: str | None) -> dict[str, Any]:
    """Return a resolved prompt as an entry that needs no defaults."""
    entry: dict[str, Any] = {
        "id": prompt.prompt_id,
        "text": prompt.text,
        "model": prompt.model,
        "variants": prompt.variants,
        "style": prompt.style,
        "inputs": dict(prompt.inputs),
        "tags": list(prompt.tags),
    }
    if reference is not None:
        entry["reference"] = reference
    return entry


def _problem(stored: Stored, where: str, message: str, hint: str = "") -> Problem:
    return Problem(
        f"{FOLDER}/{stored.collection}", None, where or None, stored.prompt_id, message, hint
    )
