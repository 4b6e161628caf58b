"""A collection's ``matrix``: each of its texts times variables, models and seeds.

What belongs here is how a sweep is written and what prompts it comes to. Each of them is then
resolved, planned, priced and paid for like one that was written by hand.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from asset_pipeline.config.error_messages import complaint
from asset_pipeline.config.suggestions import did_you_mean
from asset_pipeline.config.yaml_source import FieldPath
from asset_pipeline.prompts.spec import PromptEntry
from asset_pipeline.prompts.text import clean, objection, slug, with_digest

MOST_CELLS = 5_000
"""So many prompts one sweep comes to at the most; twenty values on each of three axes are 8,000."""

MODEL, SEED = "model", "seed"
"""The axes, and fields of a prompt, that are no variables."""

_INPUT = "inputs."
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]{0,63})\}")
_LONGEST_ID = 100
_LONGEST_PART = 30
_LONGEST_KEPT = 90

Value = str | int | float | bool


class _Written(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: str | None = None
    text: str | None = None
    variables: dict[str, list[Value]] = Field(default_factory=dict)
    models: list[str] = Field(default_factory=list)
    seeds: list[int] = Field(default_factory=list[int])


@dataclass(frozen=True, slots=True)
class MatrixFlaw:
    """Something wrong with a matrix, at a place below it."""

    where: FieldPath
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """One prompt of a sweep.

    Attributes:
        template: The index of the prompt that it was made of; None for the matrix's own text.
        flaw: Why it can't be made as it is written; None if it can.
    """

    entry: PromptEntry
    template: int | None
    flaw: MatrixFlaw | None = None


@dataclass(frozen=True, slots=True)
class Matrix:
    """A sweep that was read and found coherent.

    Attributes:
        text: Its own text; None where it multiplies the prompts of its collection.
        name: What the ids of its own text's prompts begin with; None for the collection's name.
        axes: What varies, in order: variables, then ``model`` and ``seed``.
        values: What each axis takes.
    """

    text: str | None
    name: str | None
    axes: tuple[str, ...]
    values: tuple[tuple[Value, ...], ...]

    @property
    def size(self) -> int:
        """How many prompts one text comes to."""
        return math.prod(map(len, self.values))

    def cells(
        self,
        templates: Mapping[int | None, PromptEntry],
        seed_input: Callable[[str | None], str | None],
    ) -> Iterator[Cell]:
        """Yield the prompts of a sweep, each with an id that no other of them has.

        Args:
            templates: What is multiplied, by index; under None the matrix's own text.
            seed_input: Returns what an entry's model calls its seed; None where it takes none.
        """
        taken: set[str] = set()
        for index, template in templates.items():
            flaw = self._flaw_of(template.text)
            if flaw is not None:
                yield Cell(template, index, flaw)
                continue
            for combination in product(*self.values):
                fields = dict(zip(self.axes, combination, strict=True))
                entry = self._entry(template, fields, taken)
                taken.add(entry.id)
                yield _seeded(Cell(entry, index), fields, seed_input)

    def _flaw_of(self, text: str) -> MatrixFlaw | None:
        """Return why a text does not go with the variables; each of them has to change it."""
        variables = [name for name in self._variables() if not name.startswith(_INPUT)]
        named = set(_PLACEHOLDER.findall(text))
        for name in sorted(named - set(variables)):
            hint = did_you_mean(name, variables) or "Name it under 'variables:'."
            return MatrixFlaw(("text",), f"there is no variable {name!r}.", hint)
        for name in variables:
            if name not in named:
                return MatrixFlaw(
                    ("text",),
                    f"it does not name the variable {name!r}: its values would all be one request.",
                    f"Write {{{name}}} where its value goes.",
                )
        return None

    def _variables(self) -> list[str]:
        return [name for name in self.axes if name not in {MODEL, SEED}]

    def _entry(
        self, template: PromptEntry, fields: Mapping[str, Value], taken: set[str]
    ) -> PromptEntry:
        inputs: dict[str, JsonValue] = {
            name.removeprefix(_INPUT): value
            for name, value in fields.items()
            if name.startswith(_INPUT)
        }
        text = _PLACEHOLDER.sub(lambda found: _shown(fields[found[1]]), template.text)
        return template.model_copy(
            update={
                "id": _id_of(template.id, fields, taken),
                "text": text,
                "model": fields.get(MODEL, template.model),
                "inputs": {**template.inputs, **inputs},
                "fields": {**template.fields, **fields},
            }
        )


def read_matrix(value: JsonValue) -> tuple[Matrix | None, list[MatrixFlaw]]:
    """Return the sweep that a collection file asks for, and all that is wrong with it."""
    if value is None:
        return None, []
    try:
        written = _Written.model_validate(value)
    except ValidationError as error:
        return None, [
            MatrixFlaw(tuple(issue["loc"][:3]), *complaint(issue, _Written.model_fields))
            for issue in error.errors(include_url=False)[:10]
        ]
    axes: dict[str, tuple[Value, ...]] = {
        clean(name): tuple(_plain(each) for each in values)
        for name, values in written.variables.items()
    }
    flaws = [*_name_flaws(written.variables), *_axis_flaws(written)]
    if written.models:
        axes[MODEL] = tuple(written.models)
    if written.seeds:
        axes[SEED] = tuple(written.seeds)
    if not axes and not flaws:
        flaws.append(MatrixFlaw((), "nothing varies.", "Give it variables, models or seeds."))
    matrix = Matrix(written.text, written.id, tuple(axes), tuple(axes.values()))
    if not flaws and matrix.size > MOST_CELLS:
        flaws.append(_too_many(matrix.size))
    return (None if flaws else matrix), flaws


def size_flaw(matrix: Matrix, templates: int) -> MatrixFlaw | None:
    """Return why so many texts are too many for a matrix; None if they aren't."""
    number = matrix.size * templates
    return _too_many(number) if number > MOST_CELLS else None


def _too_many(number: int) -> MatrixFlaw:
    return MatrixFlaw(
        (),
        f"it comes to {number:,} prompts; at most {MOST_CELLS:,} are made.",
        "Leave values out, or divide it over several collections.",
    )


def _name_flaws(variables: Mapping[str, Sequence[Value]]) -> Iterator[MatrixFlaw]:
    for name in variables:
        where = ("variables", name)
        if name in {MODEL, SEED}:
            hint = f"Write them under '{name}s:'."
            yield MatrixFlaw(where, f"{name}s have a place of their own.", hint)
        elif _NAME.fullmatch(name.removeprefix(_INPUT)) is None:
            hint = "Letters, digits and underscores make a name; inputs.NAME sets an input."
            yield MatrixFlaw(where, f"{name[:100]!r} is no name of a variable.", hint)


def _axis_flaws(written: _Written) -> Iterator[MatrixFlaw]:
    named: dict[FieldPath, Sequence[Value]] = {
        ("variables", name): values for name, values in written.variables.items()
    }
    given = written.model_fields_set
    named |= {("models",): written.models} if "models" in given else {}
    named |= {("seeds",): written.seeds} if "seeds" in given else {}
    for where, values in named.items():
        if not values:
            yield MatrixFlaw(where, "it is empty.", "Give it values, or leave it out.")
            continue
        if len(values) > MOST_CELLS:
            yield MatrixFlaw(where, f"{len(values):,} values are too many.")
            continue
        shown = [_shown(_plain(value)) for value in values]
        if len(set(shown)) < len(shown):
            twice = next(each for each in shown if shown.count(each) > 1)
            wrong = f"{twice[:100]!r} is there twice: the same request, made once."
            yield MatrixFlaw(where, wrong, "Delete one.")
        objections = filter(None, map(objection, shown))
        if (wrong := next(objections, None)) is not None:
            yield MatrixFlaw(where, wrong, "Delete it.")


def _plain(value: Value) -> Value:
    return clean(value) if isinstance(value, str) else value


def _shown(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _id_of(name: str, fields: Mapping[str, Value], taken: set[str]) -> str:
    """Return a cell's id: what it was made of, then its values; the same in each reading."""
    parts = [name, *(_part(axis, value) for axis, value in fields.items())]
    made = "-".join(parts)
    if len(made) > _LONGEST_ID or made in taken:
        # Values that differ in what an id leaves out are told apart by a digest of them all.
        made = with_digest(made[:_LONGEST_KEPT], json.dumps([name, fields], sort_keys=True))
    return made


def _part(axis: str, value: Value) -> str:
    if axis == SEED:
        return f"s{value}"
    shown = _shown(value)
    return slug(shown.rpartition("/")[2] if axis == MODEL else shown)[:_LONGEST_PART].strip("-")


def _seeded(
    cell: Cell, fields: Mapping[str, Value], seed_input: Callable[[str | None], str | None]
) -> Cell:
    if SEED not in fields:
        return cell
    entry = cell.entry
    name = seed_input(entry.model)
    if name is None:
        wrong = f"{entry.model or 'the model'} takes no seed: all would be one request."
        flaw = MatrixFlaw(("seeds",), wrong, "Leave the seeds out, or the model.")
        return Cell(entry, cell.template, flaw)
    inputs = {**entry.inputs, name: fields[SEED]}
    return Cell(entry.model_copy(update={"inputs": inputs}), cell.template)
