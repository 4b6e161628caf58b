"""The schema of a collection file, and the records of prompts and problems."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.errors import shortened
from asset_pipeline.prompts.provenance import DEFAULT as DEFAULT_PROVENANCE
from asset_pipeline.prompts.provenance import ProvenancePolicy
from asset_pipeline.prompts.rendition_specs import Rendition, Renditions

MAX_VARIANTS = 100

MOST_PROBLEMS = 10_000
"""So many problems of a file are told one by one; they take some 8 MB."""

_LONGEST = {"field": 200, "prompt_id": 200, "message": 1_000, "hint": 1_000}


class _Written(BaseModel):
    # Strict: "2" is no number and 2024 no text; a guess here is a picture paid for.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class CollectionDefaults(_Written):
    """What the prompts of a collection share unless they say otherwise."""

    model: str | None = None
    variants: int = Field(default=1, ge=1, le=MAX_VARIANTS)
    style: str = ""
    inputs: dict[str, JsonValue] = Field(default_factory=dict)
    tags: list[str] = Field(default_factory=list)


class CollectionFile(_Written):
    """A collection file; its prompts are looked at one by one, so that a bad one hides no other.

    Attributes:
        auto: New and edited prompts are generated without anybody's asking, within the budgets.
        prune: A prompt that leaves the file loses its partition.
        require_approval: A clip is published only when a person has approved it.
        retake_rejected: Of a clip that is rejected another take is made, within the budgets.
        generic_prompts: Texts, any of which may be made in place of a prompt that the provider
            refuses for its content, where the retry rules say so.
        provenance: What renditions and exports say of where they come from, or ``none``.
        matrix: A sweep: its prompts, or its own text, times variables, models and seeds.
    """

    collection: str | None = None
    auto: bool = False
    prune: bool = False
    require_approval: bool = False
    retake_rejected: bool = False
    generic_prompts: list[str] = Field(default_factory=list)
    defaults: CollectionDefaults = Field(default_factory=CollectionDefaults)
    renditions: dict[str, JsonValue] | None = None
    provenance: JsonValue = None
    matrix: JsonValue = None
    prompts: list[JsonValue]


class PromptEntry(_Written):
    """One prompt as written; a field that is None takes the collection's default."""

    id: str
    text: str
    model: str | None = None
    variants: int | None = Field(default=None, ge=1, le=MAX_VARIANTS)
    style: str | None = None
    inputs: dict[str, JsonValue] = Field(default_factory=dict)
    tags: list[str] = Field(default_factory=list)
    reference: str | None = None
    fields: dict[str, JsonValue] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Prompt:
    """One thing to make, complete and checked against the catalog.

    Attributes:
        prompt_id: The partition key, unique within its kind.
        inputs: Its own inputs over its collection's, without text and fixed inputs.
        reference: A file to start from, relative to the prompts folder.
        path: The file it is written in, relative to the prompts folder.
        renditions: Those of its collection, by name. They decide no clip, so they are no part of
            the hash.
        generic_prompts: Those of its collection. They are for when this one is refused, so they
            are no part of the hash.
        fields: What a team keeps beside a prompt, such as the other columns of its sheet. They
            are published and exported, and never sent.
        takes: How many takes beyond the first were asked for, by variant; none where there are
            none.
        provenance: What its files may say of it; no part of the hash either.
        axes: Which of the fields its collection's matrix varies, in order; empty where it was
            written by hand.
    """

    kind: Kind
    prompt_id: str
    collection: str
    text: str
    style: str
    model: str
    variants: int
    inputs: Mapping[str, JsonValue]
    tags: tuple[str, ...]
    reference: str | None
    reference_sha256: str | None
    path: str
    renditions: Renditions = field(default_factory=dict[str, Rendition])
    generic_prompts: tuple[str, ...] = ()
    fields: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    takes: Mapping[int, int] = field(default_factory=dict[int, int])
    provenance: ProvenancePolicy = DEFAULT_PROVENANCE
    axes: tuple[str, ...] = ()
    _hash: str | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def full_text(self) -> str:
        """The text that is sent: the prompt's own, then its style."""
        return f"{self.text}, {self.style}" if self.style else self.text

    @property
    def prompt_hash(self) -> str:
        """SHA-256 of all that affects the clips; id, collection, tags and place do not.

        It is the prompt's data version in Dagster: when it changes, the clips are stale. It is
        worked out once: for 100,000 prompts that takes most of a second.
        """
        if self._hash is None:
            object.__setattr__(self, "_hash", self._worked_out_hash())
        return cast("str", self._hash)

    def _worked_out_hash(self) -> str:
        decisive: dict[str, object] = {
            "text": self.full_text,
            "model": self.model,
            "variants": self.variants,
            "inputs": dict(self.inputs),
            "reference_sha256": self.reference_sha256,
        }
        if self.takes:
            decisive["takes"] = {str(variant): take for variant, take in self.takes.items()}
        canonical = json.dumps(decisive, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(canonical.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong in a file that people write, at its place; :attr:`line` counts from 1.

    What it quotes of the file is cut: it may be a megabyte.
    """

    path: str
    line: int | None
    field: str | None
    prompt_id: str | None
    message: str
    hint: str

    def __post_init__(self) -> None:
        for name, most in _LONGEST.items():
            text: str | None = getattr(self, name)
            if text is not None and len(text) > most:
                object.__setattr__(self, name, shortened(text, most))

    def __str__(self) -> str:
        line = "" if self.line is None else f":{self.line}"
        prompt = "" if self.prompt_id is None else f"[{self.prompt_id}] "
        field = "" if self.field is None else f"{self.field}: "
        return f"{self.path}{line}: {prompt}{field}{self.message} {self.hint}".rstrip()


def problems_left_out(path: str, number: int) -> Problem:
    """Return the problem that stands for those of a file that are not told one by one."""
    message = f"{number:,} more problems are not listed."
    return Problem(path, None, None, None, message, "Correct the others first.")
