"""An entry of a collection file to a complete, checked prompt: defaults, model, inputs, reference.

A default input goes to the models that have it: a collection on flux-schnell with
``megapixels: "0.25"`` may have one prompt on a model that knows no megapixels. A misspelt one still
shows, because the defaults are checked against their own model first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from pydantic import JsonValue

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.catalog.pricing import UnpricedModelError, price_on
from asset_pipeline.catalog.reader import Catalog
from asset_pipeline.catalog.seeds import variants_objection
from asset_pipeline.catalog.spec import Model
from asset_pipeline.config.yaml_source import FieldPath
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.files import resolve_inside
from asset_pipeline.foreign.files import ForeignFileError, digest_file
from asset_pipeline.prompts.provenance import DEFAULT, ProvenancePolicy
from asset_pipeline.prompts.rendition_specs import Rendition, Renditions
from asset_pipeline.prompts.spec import CollectionDefaults, Prompt, PromptEntry
from asset_pipeline.prompts.text import ID_RULE, MAX_CHARACTERS, clean, forbidden, is_id, objection

MAX_REFERENCE_BYTES = 16 * 1024**2
"""The longest reference file: it is sent inside of the request, a third longer for base64."""

# A name that is wrong takes 300 us to be compared with the right ones, and its error a kilobyte.
_MOST_KEPT = 5_000

_USUAL_SEED = "seed"


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """Something wrong at a place below the entry, or the file, that is being looked at."""

    where: FieldPath
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Collection:
    """What a prompt takes from the file it stands in."""

    kind: Kind
    name: str
    path: str
    defaults: CollectionDefaults
    renditions: Renditions = field(default_factory=dict[str, Rendition])
    generic_prompts: tuple[str, ...] = ()
    provenance: ProvenancePolicy = DEFAULT


class Resolver:
    """Resolves the prompts of one folder; each model and reference file is looked at once."""

    def __init__(self, prompts_dir: Path, catalog: Catalog, *, on: date) -> None:
        self._prompts_dir = prompts_dir
        self._catalog = catalog
        self._on = on
        self._models: dict[tuple[Kind, str], Model | AssetPipelineError] = {}
        self._digests: dict[str, str | AssetPipelineError] = {}
        self._too_many = AssetPipelineError(
            "There is no such model in the catalog.",
            hint="Thousands of names are unknown: correct the first ones, which are told by name.",
        )

    def model(self, name: str, kind: Kind) -> Model:
        """Return a model that makes this kind of clip and has a price.

        Raises:
            AssetPipelineError: It is unknown, makes the other kind or is unpriced; the hint names
                the nearest that would do.
        """
        if (kind, name) not in self._models:
            if len(self._models) >= _MOST_KEPT and name not in self._catalog.models:
                raise self._too_many.with_traceback(None)
            try:
                self._models[kind, name] = self._usable_model(name, kind)
            except AssetPipelineError as error:
                self._models[kind, name] = error
        found = self._models[kind, name]
        if isinstance(found, AssetPipelineError):
            raise found.with_traceback(None)
        return found

    def seed_input(self, name: str | None, kind: Kind) -> str | None:
        """Return what a model calls its seed; None where it takes none.

        A model that can't be used has the usual name: what is said of it is that it can't.
        """
        try:
            return _USUAL_SEED if name is None else self.model(name, kind).seed_input
        except AssetPipelineError:
            return _USUAL_SEED

    def check_defaults(self, collection: Collection) -> list[FieldProblem]:
        """Return what is wrong with a collection's defaults, and so with each of its prompts."""
        defaults = collection.defaults
        findings = list(_style_findings(clean(defaults.style), collection.kind))
        if defaults.model is not None:
            try:
                model = self.model(defaults.model, collection.kind)
            except AssetPipelineError as error:
                findings.append(FieldProblem(("model",), error.message, error.hint))
            else:
                findings.extend(
                    FieldProblem(("inputs", issue.field), issue.message)
                    for issue in self._catalog.check_inputs(model, defaults.inputs)
                    if issue.field in defaults.inputs
                )
        return [FieldProblem(("defaults", *it.where), it.message, it.hint) for it in findings]

    def resolve(self, entry: PromptEntry, collection: Collection) -> Prompt | list[FieldProblem]:
        """Return the prompt that an entry makes, or all that is wrong with it."""
        defaults, kind = collection.defaults, collection.kind
        text = clean(entry.text)
        style = clean(defaults.style if entry.style is None else entry.style)
        findings = list(_name_and_text_findings(entry, text))
        if entry.style is not None:
            findings.extend(_style_findings(style, kind))
        try:
            model = self._model_of(entry, collection)
        except AssetPipelineError as error:
            return [*findings, FieldProblem(("model",), error.message, error.hint)]
        inputs = {
            name: value for name, value in defaults.inputs.items() if name in model.inputs
        } | entry.inputs
        findings.extend(self._input_findings(model, inputs, entry.inputs))
        digest = None
        try:
            digest = self._reference_digest(entry.reference, model)
        except AssetPipelineError as error:
            findings.append(FieldProblem(("reference",), error.message, error.hint))
        prompt = Prompt(
            kind=kind,
            prompt_id=entry.id,
            collection=collection.name,
            text=text,
            style=style,
            model=model.name,
            variants=defaults.variants if entry.variants is None else entry.variants,
            inputs=inputs,
            tags=tuple(dict.fromkeys(clean(tag) for tag in (*defaults.tags, *entry.tags))),
            reference=entry.reference,
            reference_sha256=digest,
            path=collection.path,
            renditions=collection.renditions,
            generic_prompts=collection.generic_prompts,
            fields=entry.fields,
            provenance=collection.provenance,
        )
        findings.extend(length_findings(prompt, model))
        findings.extend(variants_findings(prompt, model, inherited=entry.variants is None))
        return findings or prompt

    def _usable_model(self, name: str, kind: Kind) -> Model:
        model = self._catalog.get(name)
        if model.kind is not kind:
            others = [other.name for other in self._catalog.models.values() if other.kind is kind]
            raise AssetPipelineError(
                f"{name} makes {model.kind}, and this is about {kind}.",
                hint=f"Models that make {kind}: {', '.join(others)}.",
            )
        try:
            price_on(model, self._on)
        except UnpricedModelError as error:
            priced = self._catalog.priced_alternatives(model, on=self._on)
            raise UnpricedModelError(
                error.message,
                hint="Price it in models.yaml in the config folder"
                + (f", or use {' or '.join(priced[:3])}." if priced else "."),
            ) from None
        return model

    def _model_of(self, entry: PromptEntry, collection: Collection) -> Model:
        name = entry.model or collection.defaults.model
        if name is None:
            raise AssetPipelineError(
                "there is none, and the collection's defaults name none.",
                hint=f"Known: {', '.join(self._catalog.models)}.",
            )
        return self.model(name, collection.kind)

    def _input_findings(
        self, model: Model, inputs: Mapping[str, JsonValue], own: Mapping[str, JsonValue]
    ) -> Iterable[FieldProblem]:
        for issue in self._catalog.check_inputs(model, inputs):
            inherited = issue.field in inputs and issue.field not in own
            hint = f"It comes from the defaults; set it here for {model.name}." if inherited else ""
            yield FieldProblem(("inputs", issue.field), issue.message, hint)
        for name, value in inputs.items():
            if isinstance(value, str) and (wrong := forbidden(value)):
                yield FieldProblem(("inputs", name), wrong, "Delete it.")

    def _reference_digest(self, reference: str | None, model: Model) -> str | None:
        """Return the SHA-256 of a reference file.

        Raises:
            AssetPipelineError: The model takes none or needs one, or the file is not usable.
        """
        if model.reference_input is None:
            if reference is None:
                return None
            takers = [it.name for it in self._catalog.models.values() if it.reference_input]
            raise AssetPipelineError(
                f"{model.name} takes no reference file.",
                hint=f"Models that do: {', '.join(takers)}." if takers else "",
            )
        if reference is None:
            if model.inputs[model.reference_input].required:
                raise AssetPipelineError(f"{model.name} needs a reference file.")
            return None
        if reference not in self._digests:
            if len(self._digests) >= _MOST_KEPT:
                return self._digest(reference)
            try:
                self._digests[reference] = self._digest(reference)
            except AssetPipelineError as error:
                self._digests[reference] = error
        found = self._digests[reference]
        if isinstance(found, AssetPipelineError):
            raise found.with_traceback(None)
        return found

    def _digest(self, reference: str) -> str:
        path = resolve_inside(self._prompts_dir, reference)
        try:
            return digest_file(path, inside=self._prompts_dir, most=MAX_REFERENCE_BYTES)
        except OSError as error:
            raise AssetPipelineError(
                f"{reference!r} cannot be read: {error.strerror or error}.",
                hint="References are named relative to the prompts folder.",
            ) from error
        except ForeignFileError as error:
            message = f"{reference!r} cannot be read: {error.message}"
            raise AssetPipelineError(message, hint=error.hint) from None


def check_generic(texts: Sequence[str], kind: Kind) -> Iterable[FieldProblem]:
    """Yield what is wrong with a collection's generic prompts, already cleaned."""
    for index, text in enumerate(texts):
        wrong = objection(text)
        if wrong is None and len(text) > MAX_CHARACTERS[kind]:
            wrong = (
                f"it has {len(text):,} characters; at most {MAX_CHARACTERS[kind]:,} are allowed."
            )
        if wrong is not None:
            yield FieldProblem(("generic_prompts", index), wrong, "Write it as you would a prompt.")


def _name_and_text_findings(entry: PromptEntry, text: str) -> Iterable[FieldProblem]:
    if not is_id(entry.id):
        yield FieldProblem(("id",), f"{entry.id!r} is not an id.", f"An id is {ID_RULE}.")
    if wrong := objection(text):
        yield FieldProblem(("text",), wrong, "Write what to make in plain text.")
    for tag in entry.tags:
        if wrong := objection(clean(tag)):
            yield FieldProblem(("tags",), wrong)


def _style_findings(style: str, kind: Kind) -> Iterable[FieldProblem]:
    if style and kind is Kind.AUDIO:
        yield FieldProblem(
            ("style",),
            "audio prompts have no style: it would be read aloud.",
            "Set the voice and the like under inputs.",
        )
    elif wrong := forbidden(style):
        yield FieldProblem(("style",), wrong, "Write the style in plain text.")


def variants_findings(
    prompt: Prompt, model: Model, *, inherited: bool = False
) -> Iterable[FieldProblem]:
    """Yield what is wrong with the number of a prompt's variants: two never are one request."""
    sent = model.request_inputs(prompt.full_text, prompt.inputs)
    objection = variants_objection(model, sent, prompt.variants)
    if objection is not None:
        message, hint = objection
        origin = " The number comes from the defaults." if inherited and prompt.variants > 1 else ""
        yield FieldProblem(("variants",), message, hint + origin)


def length_findings(prompt: Prompt, model: Model) -> Iterable[FieldProblem]:
    """Yield what is wrong with the length of a prompt's text for a model."""
    allowed = MAX_CHARACTERS[prompt.kind]
    own = model.inputs[model.prompt_input].max_length
    if own is not None:
        allowed = min(allowed, own)
    length = len(prompt.full_text)
    if length > allowed:
        included = " with its style" if prompt.style else ""
        yield FieldProblem(
            ("text",),
            f"it has {length:,} characters{included}; at most {allowed:,} are allowed.",
            "Shorten it: nothing is cut silently.",
        )
