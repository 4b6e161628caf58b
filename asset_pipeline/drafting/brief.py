"""A brief: what is wanted, in a file that people write, checked before anything is paid for."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.catalog.reader import Catalog
from asset_pipeline.config.error_messages import complaint
from asset_pipeline.config.yaml_source import SourceError, lines_of, parse_yaml, read_utf8
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.files import resolve_inside
from asset_pipeline.prompts.library import BRIEFS_FOLDER
from asset_pipeline.prompts.spec import MAX_VARIANTS
from asset_pipeline.prompts.text import ID_RULE, clean, forbidden, is_id, slug

MOST_PROMPTS = 100
"""The most that one call is asked for: an answer of forty thousand tokens is no answer."""

MODELS = ("openai/gpt-4o-mini",)
"""The language models that a brief is drafted with unless it names others."""

_GENERATION_MODELS = {Kind.IMAGE: "black-forest-labs/flux-schnell", Kind.AUDIO: "jaaari/kokoro-82m"}

# One book's worth of brief would cost more to read than the prompts to make.
_LONGEST = 4000
_MOST = 50

Line = Annotated[str, Field(min_length=1, max_length=_LONGEST)]
Lines = Annotated[list[Line], Field(max_length=_MOST)]


class _Written(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Card(_Written):
    """A character or a product that looks the same wherever it appears."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    description: Line


class BriefFile(_Written):
    """What a brief may say.

    Attributes:
        goal: What the prompts are for.
        style: Put behind each prompt of the collection, word for word.
        characters: Cards; where a prompt names one, its description is put in, word for word.
        products: The same.
        must_not: Words that no accepted prompt holds.
        languages: What the texts are written in; the first is the usual one.
        models: The language models that may be asked, the first that is priced is.
        adjustable_inputs: The inputs of the generation model that a draft may set.
        auto: Proposals without a problem are accepted without anybody's asking.
    """

    goal: Line
    audience: Line | None = None
    kind: str = "image"
    count: int = Field(default=10, ge=1, le=MOST_PROMPTS)
    collection: str | None = None
    model: str | None = None
    variants: int = Field(default=1, ge=1, le=MAX_VARIANTS)
    style: Lines = Field(default_factory=list)
    characters: list[Card] = Field(default_factory=list[Card], max_length=_MOST)
    products: list[Card] = Field(default_factory=list[Card], max_length=_MOST)
    must: Lines = Field(default_factory=list)
    must_not: Lines = Field(default_factory=list)
    languages: Lines = Field(default_factory=lambda: ["en"])
    models: Lines = Field(default_factory=lambda: list(MODELS))
    examples: Lines = Field(default_factory=list)
    inputs: dict[str, JsonValue] = Field(default_factory=dict)
    adjustable_inputs: Lines = Field(default_factory=list)
    max_usd: str | None = None
    auto: bool = False


@dataclass(frozen=True, slots=True)
class Brief:
    """A brief that was read and found usable.

    Attributes:
        name: The file's stem: its partition key.
        path: The file.
        sha256: Of all that it says: its data version.
        kind: What its prompts make.
        model: The model that makes them.
        collection: Where accepted prompts go.
    """

    name: str
    path: Path
    sha256: str
    kind: Kind
    model: str
    collection: str
    file: BriefFile

    @property
    def proposals_path(self) -> Path:
        """The file beside it that its proposals are written to."""
        return self.path.with_name(f"{self.name}.proposals.yaml")

    @property
    def style(self) -> str:
        """What is put behind each of its prompts."""
        return ", ".join(clean(token) for token in self.file.style)


def briefs_dir(prompts_dir: Path) -> Path:
    """Return the folder of the briefs."""
    return prompts_dir / BRIEFS_FOLDER


def brief_names(prompts_dir: Path) -> list[str]:
    """Return the names of all briefs, sorted; proposals beside them are none."""
    folder = briefs_dir(prompts_dir)
    if not folder.is_dir():
        return []
    return sorted(
        path.stem
        for path in folder.glob("*.yaml")
        if is_id(path.stem) and not path.stem.endswith(".proposals") and path.is_file()
    )


def load_brief(prompts_dir: Path, name: str, catalog: Catalog) -> Brief:
    """Read a brief by its name, or by a path that ends in it.

    Raises:
        AssetPipelineError: There is none, or it can't be used; the error names line and field.
    """
    stem = Path(name).name.removesuffix(".yaml").removesuffix(".yml")
    if not is_id(stem) or stem.endswith(".proposals"):
        raise AssetPipelineError(f"{name!r} is no name of a brief.", hint=f"It is {ID_RULE}.")
    path = resolve_inside(prompts_dir, f"{BRIEFS_FOLDER}/{stem}.yaml")
    if not path.is_file():
        known = ", ".join(brief_names(prompts_dir)[:10])
        raise AssetPipelineError(
            f"There is no brief {stem!r} in {briefs_dir(prompts_dir)}.",
            hint=f"There are: {known}." if known else f"Write {path.name} there.",
        )
    label = f"{prompts_dir.absolute().name}/{BRIEFS_FOLDER}/{path.name}"
    try:
        text = read_utf8(path)
        document = parse_yaml(text)
    except SourceError as error:
        where = label if error.line is None else f"{label}:{error.line}"
        raise AssetPipelineError(f"{where}: {error.message}", hint=error.hint) from None
    if document.flaws:
        flaw = document.flaws[0]
        raise AssetPipelineError(f"{label}:{flaw.line}: {flaw.message}", hint=flaw.hint)
    file = _validated(label, text, document.value)
    return _checked(Brief(stem, path, _digest(file), _kind(label, file), "", "", file), catalog)


def _validated(label: str, text: str, value: JsonValue) -> BriefFile:
    if not isinstance(value, dict):
        raise AssetPipelineError(f"{label}: it is no mapping.", hint="It needs at least 'goal:'.")
    try:
        return BriefFile.model_validate(value)
    except ValidationError as error:
        issue = error.errors(include_url=False)[0]
        message, hint = complaint(issue, BriefFile.model_fields)
        line = lines_of(text, [issue["loc"]])[0]
        field = ".".join(str(part) for part in issue["loc"])
        raise AssetPipelineError(f"{label}:{line}: {field}: {message}", hint=hint) from None


def _kind(label: str, file: BriefFile) -> Kind:
    try:
        return Kind(file.kind)
    except ValueError:
        raise AssetPipelineError(
            f"{label}: kind: {file.kind!r} is none.", hint="It is image or audio."
        ) from None


def _checked(brief: Brief, catalog: Catalog) -> Brief:
    """Return the brief complete, or refuse what would be refused after the payment.

    Raises:
        AssetPipelineError: Its model, collection, inputs or texts can't be used.
    """
    file = brief.file
    label = f"Brief {brief.name}"
    for text in _texts(file):
        if wrong := forbidden(clean(text)):
            raise AssetPipelineError(f"{label}: {wrong}", hint="Write it in plain text.")
    collection = slug(brief.name) if file.collection is None else file.collection
    if not is_id(collection):
        raise AssetPipelineError(
            f"{label}: collection: {collection!r} is no name.", hint=f"It is {ID_RULE}."
        )
    model = catalog.get(file.model or _GENERATION_MODELS[brief.kind])
    if model.kind is not brief.kind:
        raise AssetPipelineError(
            f"{label}: model: {model.name} makes {model.kind}, and the brief wants {brief.kind}."
        )
    for issue in catalog.check_inputs(model, file.inputs):
        if issue.field in file.inputs:
            raise AssetPipelineError(f"{label}: inputs.{issue.field}: {issue.message}")
    unknown = [name for name in file.adjustable_inputs if name not in model.inputs]
    if unknown:
        raise AssetPipelineError(
            f"{label}: adjustable_inputs: {model.name} has no {unknown[0]!r}.",
            hint=f"It has {', '.join(model.inputs)}.",
        )
    return Brief(brief.name, brief.path, brief.sha256, brief.kind, model.name, collection, file)


def _texts(file: BriefFile) -> list[str]:
    cards = [*file.characters, *file.products]
    return [
        file.goal,
        file.audience or "",
        *file.style,
        *file.must,
        *file.must_not,
        *file.languages,
        *file.examples,
        *(text for card in cards for text in (card.name, card.description)),
    ]


def _digest(file: BriefFile) -> str:
    canonical = json.dumps(file.model_dump(), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
