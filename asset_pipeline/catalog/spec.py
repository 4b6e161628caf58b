"""What a model is: its inputs, its output and its price, validated once and frozen."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from asset_pipeline.catalog.kind import Kind

_NUMBERS = ("integer", "number")
_URL_SCHEMES = ("https://", "http://")
_WANTED = {
    "string": "text; write it in quotes",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "file": "the URL of a file",
}


class OutputShape(StrEnum):
    """How a succeeded prediction's ``output`` holds its file."""

    ONE = "one"
    LIST = "list"
    OBJECT = "object"


class PriceUnit(StrEnum):
    """The unit that a price is for."""

    IMAGE = "image"
    PREDICT_SECOND = "predict_second"
    THOUSAND_CHARACTERS = "thousand_characters"
    RUN = "run"


class _Spec(BaseModel):
    # Unknown fields are refused: a misspelt `maximum` would otherwise bound nothing.
    model_config = ConfigDict(frozen=True, extra="forbid")


class PriceRule(_Spec):
    """A price, the day from which it holds, and its source."""

    unit: PriceUnit
    usd: Decimal = Field(ge=0, description="US dollars for one unit.")
    effective: date
    source: str = Field(min_length=1)


class InputSpec(_Spec):
    """One input of a model, and what it accepts."""

    type: Literal["string", "integer", "number", "boolean", "file"]
    required: bool = False
    default: JsonValue = None
    minimum: Decimal | None = None
    maximum: Decimal | None = None
    choices: tuple[JsonValue, ...] | None = None
    max_length: int | None = Field(None, ge=1, description="Characters of a string.")
    description: str = ""

    def objection(self, value: JsonValue) -> str | None:
        """Return why the model would refuse ``value``, or None when it would not."""
        wrong_type = self._type_objection(value)
        if wrong_type:
            return wrong_type
        if self.choices is not None and value not in self.choices:
            listed = ", ".join(str(choice) for choice in self.choices)
            return f"{value!r} is not one of {listed}."
        if isinstance(value, str):
            if self.max_length is not None and len(value) > self.max_length:
                return f"it has {len(value):,} characters; at most {self.max_length:,} are allowed."
        elif isinstance(value, int | float) and not isinstance(value, bool):
            if self.minimum is not None and value < self.minimum:
                return f"{value} is less than the least allowed, {self.minimum}."
            if self.maximum is not None and value > self.maximum:
                return f"{value} is more than the most allowed, {self.maximum}."
        return None

    def _type_objection(self, value: JsonValue) -> str | None:
        match value, self.type:
            # Booleans come first: to Python they are integers, to a model they are not.
            case bool(), kind:
                fits = kind == "boolean"
            case str(), kind:
                fits = kind == "string" or (kind == "file" and value.startswith(_URL_SCHEMES))
            case int(), "integer" | "number":
                fits = True
            case float(), "number":
                fits = math.isfinite(value)
            case _:
                fits = False
        return None if fits else f"{value!r} is not {_WANTED[self.type]}."


class Fallback(_Spec):
    """Another model to ask when this one fails, and what a prompt's inputs are called there.

    An input that is not named here keeps its name and value where the fallback has such an input,
    and is left out where it has none.
    """

    model: str
    names: dict[str, str | None] = Field(
        default_factory=dict,
        description="This model's input to the fallback's; null leaves it out.",
    )
    values: dict[str, dict[str, JsonValue]] = Field(
        default_factory=dict,
        description="By this model's input: what a value of it, as text, is to the fallback.",
    )
    sets: dict[str, JsonValue] = Field(
        default_factory=dict, description="Inputs of the fallback that the prompt knows nothing of."
    )


class Model(_Spec):
    """A model on the provider: how to call it, what comes back and what that costs.

    A missing price does not mean free: a model without prices is refused before
    anything is sent.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*/[a-z0-9][a-z0-9._-]*$")
    kind: Kind
    version: str | None = Field(
        None,
        pattern=r"^[0-9a-f]{64}$",
        description="The version to run of a community model; None for an official one.",
    )
    prompt_input: str = Field(description="The input that takes the prompt's text.")
    seed_input: str | None = None
    reference_input: str | None = Field(None, description="The input for a reference file.")
    count_input: str | None = Field(None, description="The input for the number of outputs.")
    varies: bool = Field(
        default=False,
        description="It takes no seed and makes something else of the same inputs each time; only "
        "then may a prompt want several variants of it.",
    )
    fixed_inputs: dict[str, JsonValue] = Field(
        default_factory=dict, description="Sent always; prompts may not set them."
    )
    defaults: dict[str, JsonValue] = Field(
        default_factory=dict, description="This project's choices, where a prompt makes none."
    )
    inputs: dict[str, InputSpec]
    output: OutputShape
    output_key: str | None = Field(None, description="Where an output object holds its file.")
    prices: tuple[PriceRule, ...] = ()
    fallbacks: tuple[Fallback, ...] = Field((), description="Asked in this order.")
    licence: str | None = Field(
        None, description="A note on the model's licence, for the manifests of exports."
    )
    max_predict_seconds: int = Field(
        ge=5,
        le=86_400,
        description="After so many seconds the provider is told to cancel; bounds a price by time.",
    )

    @property
    def official(self) -> bool:
        """Whether the provider runs the model itself, and so picks the version."""
        return self.version is None

    def price_on(self, day: date) -> PriceRule | None:
        """Return the newest price that holds on ``day``, or None when none does yet."""
        effective = [rule for rule in self.prices if rule.effective <= day]
        return max(effective, key=lambda rule: rule.effective, default=None)

    def request_inputs(self, text: str, inputs: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
        """Return what is sent for a prompt: its text and inputs over the defaults, then the fixed.

        Seed and reference are the caller's to add: they differ between attempts and uploads.
        """
        return {**self.defaults, **inputs, **self.fixed_inputs, self.prompt_input: text}

    @model_validator(mode="after")
    def _check_coherence(self) -> Model:
        roles = {
            "prompt_input": self.prompt_input,
            "seed_input": self.seed_input,
            "reference_input": self.reference_input,
            "count_input": self.count_input,
        }
        for role, name in roles.items():
            if name is not None and name not in self.inputs:
                raise ValueError(f"{role} names {name!r}, which is not among the inputs")
        for field, values in (("fixed_inputs", self.fixed_inputs), ("defaults", self.defaults)):
            for name, value in values.items():
                if name not in self.inputs:
                    raise ValueError(f"{field} sets {name!r}, which is not among the inputs")
                if objection := self.inputs[name].objection(value):
                    raise ValueError(f"{field}.{name}: {objection}")
        if self.seed_input is not None and self.inputs[self.seed_input].type not in _NUMBERS:
            raise ValueError(f"seed_input names {self.seed_input!r}, which takes no whole number")
        if (self.output is OutputShape.OBJECT) != (self.output_key is not None):
            raise ValueError("output_key is for the output shape 'object', and needed there")
        days = [rule.effective for rule in self.prices]
        if len(days) != len(set(days)):
            raise ValueError("prices hold two rules that begin on the same day")
        return self
