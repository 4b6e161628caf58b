"""A provider's description of a model to an entry of ``models.yaml``.

It reads the document that Cog generates: inputs with their types, bounds and choices, and the form
of the output. What no document says is told by names (which input takes the prompt's text, which
the seed) or left to the person (what it costs). Everything comes from outside: numbers, lengths and
names are bounded, and what can't be kept is named.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, cast

from pydantic import JsonValue, ValidationError

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.catalog.multipliers import uncounted, whole
from asset_pipeline.catalog.spec import InputSpec, Model
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.foreign.text import cleaned

DEFAULT_SECONDS: Final = 600
"""When the provider is told to cancel a model that was added; people change it in the file."""

_MOST_INPUTS = 200
_MOST_CHOICES = 500
_LONGEST_DESCRIPTION = 300
_LONGEST_VALUE = 1_000
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_VERSION = re.compile(r"[0-9a-f]{64}")
_TYPES = {"string", "integer", "number", "boolean"}

_PROMPTS = ("prompt", "text", "input_text", "lyrics", "text_prompt", "caption")
_SEEDS = ("seed", "random_seed")
_REFERENCES = (
    *("image", "input_image", "image_prompt", "init_image", "reference_image", "img"),
    *("audio_prompt", "reference_audio", "input_audio", "audio", "song_file", "voice_file"),
)
_SOUNDS = {
    "voice",
    "voice_id",
    "speaker",
    "lyrics",
    "duration",
    "sample_rate",
    "bpm",
    "audio_format",
}
_PICTURES = {"aspect_ratio", "width", "height", "image", "image_size", "size", "num_outputs"}
_IMAGE_ENDS = (".webp", ".png", ".jpg", ".jpeg", ".avif", ".gif")
_AUDIO_ENDS = (".mp3", ".wav", ".flac", ".ogg", ".opus", ".m4a")


class UnusableModelError(AssetPipelineError):
    """A model can't be used as it is described; the sentence says why."""


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """What a provider's document says of a model, as an entry of ``models.yaml``.

    Attributes:
        model: The validated entry, without a price.
        left_out: Inputs that prompts can't set, each with the reason.
        example: The provider's own example of inputs, if it has one.
    """

    model: Model
    left_out: tuple[str, ...] = ()
    example: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])

    def entry(self) -> dict[str, JsonValue]:
        """Return the entry's fields as ``models.yaml`` has them, without those that say nothing."""
        dumped = self.model.model_dump(
            mode="json", exclude_defaults=True, exclude={"name", "prices"}
        )
        for spec in dumped["inputs"].values():
            for bound in ("minimum", "maximum"):
                if bound in spec:
                    spec[bound] = _number(spec[bound])
        return dumped


def describe_model(
    name: str, document: object, *, kind: Kind | None = None, version: str | None = None
) -> ModelDescription:
    """Read what ``GET /v1/models/{owner}/{name}`` answered.

    Args:
        name: ``owner/name``, as it was asked for.
        document: The answer.
        kind: What the model makes; told by its example and inputs if not given.
        version: A version that the person wants; the latest if not given.

    Raises:
        UnusableModelError: It has no version, makes no file, or needs what no prompt can give.
    """
    latest = _mapping(document, "latest_version")
    schemas = _mapping(latest, "openapi_schema", "components", "schemas")
    if not schemas:
        raise UnusableModelError(
            f"{name} has no published version with a schema.",
            hint="Open its page at the provider: it may be private, or not be ready.",
        )
    required, left_out = _required(schemas), list[str]()
    inputs = dict(_inputs(schemas, required, left_out))
    example = _mapping(document, "default_example")
    shape, key = _output(name, schemas)
    fields: dict[str, object] = {
        "name": name,
        "kind": kind or _kind(name, inputs, example.get("output")),
        "version": _version(name, document, version),
        "prompt_input": _prompt_input(name, inputs),
        "seed_input": _first(_SEEDS, inputs, ("integer",)),
        "reference_input": _first(_REFERENCES, inputs, ("file",)),
        "inputs": inputs,
        "output": shape,
        "output_key": key,
        "max_predict_seconds": DEFAULT_SECONDS,
    }
    needed = [entry.partition(":")[0] for entry in left_out if entry.partition(":")[0] in required]
    if needed:
        raise UnusableModelError(
            f"{name} needs {', '.join(needed)}, which no prompt can give.",
            hint="Use another model: prompts give text, numbers, choices and one reference file.",
        )
    example_inputs = {
        key: value for key, value in _mapping(example, "input").items() if key in inputs
    }
    return ModelDescription(_counted(name, fields), tuple(left_out), example_inputs)


def objections_to_example(description: ModelDescription) -> Iterator[str]:
    """Yield why the provider's own example would be refused by the entry: it was misread then."""
    for name, value in description.example.items():
        spec = description.model.inputs[name]
        objection = None if value is None else spec.objection(value)
        if objection is not None:
            yield f"{name}: {objection}"


def _mapping(value: object, *path: str) -> Mapping[str, JsonValue]:
    """Return the mapping at a path; an empty one where there is none."""
    for step in path:
        value = cast("Mapping[str, object]", value).get(step) if isinstance(value, dict) else None
    return cast("Mapping[str, JsonValue]", value) if isinstance(value, dict) else {}


def _required(schemas: Mapping[str, JsonValue]) -> set[str]:
    listed = _mapping(schemas, "Input").get("required")
    return {name for name in listed if isinstance(name, str)} if isinstance(listed, list) else set()


def _inputs(
    schemas: Mapping[str, JsonValue], required: set[str], left_out: list[str]
) -> Iterator[tuple[str, InputSpec]]:
    properties = _mapping(schemas, "Input", "properties")
    in_order = sorted(properties, key=lambda name: _order(_mapping(properties, name)))
    for name in in_order[:_MOST_INPUTS]:
        shown = cleaned(name, 64)
        if not _NAME.fullmatch(name):
            left_out.append(f"{shown}: it is no name for an input")
            continue
        spec = _input(_resolved(_mapping(properties, name), schemas), is_required=name in required)
        if isinstance(spec, str):
            left_out.append(f"{shown}: {spec}")
        else:
            yield name, spec
    if len(in_order) > _MOST_INPUTS:
        left_out.append(f"{len(in_order) - _MOST_INPUTS:,} more: a model has no so many inputs")


def _order(value: Mapping[str, JsonValue]) -> float:
    order = value.get("x-order")
    return float(order) if isinstance(order, int) and not isinstance(order, bool) else 1e6


def _resolved(
    value: Mapping[str, JsonValue], schemas: Mapping[str, JsonValue]
) -> dict[str, JsonValue]:
    """Return a property with what it refers to: choices stand apart, in a schema of their own."""
    merged: dict[str, JsonValue] = {}
    for word in ("allOf", "anyOf", "oneOf"):
        parts = value.get(word)
        for part in parts if isinstance(parts, list) else []:
            found = _mapping(part)
            reference = found.get("$ref")
            if isinstance(reference, str):
                found = _mapping(schemas, reference.rpartition("/")[2])
            if found.get("type") != "null":
                merged = {**found, **merged}
    own = value.get("$ref")
    if isinstance(own, str):
        merged = {**_mapping(schemas, own.rpartition("/")[2]), **merged}
    return {**merged, **{name: part for name, part in value.items() if part is not None}}


def _input(value: Mapping[str, JsonValue], *, is_required: bool) -> InputSpec | str:
    """Return an input, or why prompts can't set it."""
    kind = value.get("type")
    if kind == "array":
        return "it takes a list, which no prompt gives"
    if value.get("x-cog-secret") is True or value.get("format") == "password":
        return "it takes a secret, which belongs in no prompt file"
    if not isinstance(kind, str) or kind not in _TYPES:
        return "its type is none that a prompt gives"
    if kind == "string" and value.get("format") == "uri":
        kind = "file"
    choices = value.get("enum")
    fields: dict[str, object] = {"type": kind, "required": is_required}
    if isinstance(choices, list) and kind != "file":
        fields["choices"] = tuple(choice for choice in choices[:_MOST_CHOICES] if _fits(choice))
    for ours, theirs in (
        ("minimum", "minimum"),
        ("maximum", "maximum"),
        ("max_length", "maxLength"),
    ):
        bound = value.get(theirs)
        if isinstance(bound, int | float) and not isinstance(bound, bool):
            fields[ours] = bound
    told = value.get("description") or value.get("title")
    if isinstance(told, str):
        fields["description"] = cleaned(" ".join(told.split()), _LONGEST_DESCRIPTION)
    return _validated(fields, value.get("default"))


def _validated(fields: dict[str, object], default: JsonValue) -> InputSpec | str:
    try:
        spec = InputSpec.model_validate(fields)
    except ValidationError:
        return "its bounds can't be read"
    if default is None or not _fits(default) or spec.objection(default) is not None:
        return spec
    return spec.model_copy(update={"default": default})


def _fits(value: JsonValue) -> bool:
    if isinstance(value, str):
        return len(value) <= _LONGEST_VALUE and cleaned(value, _LONGEST_VALUE) == value
    return isinstance(value, bool | int | float)


def _output(name: str, schemas: Mapping[str, JsonValue]) -> tuple[str, str | None]:
    """Return the form of the output, and where an object holds its file."""
    output = _resolved(_mapping(schemas, "Output"), schemas)
    if _is_file(output):
        return "one", None
    if output.get("type") == "array" and _is_file(_resolved(_mapping(output, "items"), schemas)):
        return "list", None
    properties = _mapping(output, "properties")
    for key in properties:
        if _NAME.fullmatch(key) and _is_file(_resolved(_mapping(properties, key), schemas)):
            return "object", key
    raise UnusableModelError(
        f"{name} makes no file: its output is {cleaned(str(output.get('type')), 40)}.",
        hint="Use a model whose output is a picture or a sound.",
    )


def _is_file(value: Mapping[str, JsonValue]) -> bool:
    return value.get("type") == "string" and value.get("format") == "uri"


def _kind(name: str, inputs: Mapping[str, InputSpec], example: JsonValue) -> Kind:
    """Return what a model makes, by its example's file, else by its inputs."""
    first: JsonValue = example[0] if isinstance(example, list) and example else example
    if isinstance(first, dict):
        first = next(iter(first.values()), None)
    if isinstance(first, str):
        path = first.partition("?")[0].lower()
        if path.endswith(_IMAGE_ENDS):
            return Kind.IMAGE
        if path.endswith(_AUDIO_ENDS):
            return Kind.AUDIO
    is_sound, is_picture = not _SOUNDS.isdisjoint(inputs), not _PICTURES.isdisjoint(inputs)
    if is_sound == is_picture:
        raise UnusableModelError(
            f"Nothing says whether {name} makes pictures or sound.",
            hint="Give --kind image or --kind audio.",
        )
    return Kind.AUDIO if is_sound else Kind.IMAGE


def _version(name: str, document: object, wanted: str | None) -> str | None:
    """Return the version to run; None for an official model, which the provider keeps up."""
    if wanted is None and _mapping(document).get("is_official") is True:
        return None
    version = wanted or _mapping(document, "latest_version").get("id")
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        raise UnusableModelError(
            f"{name} is a community model without a version that can be run.",
            hint="Copy the version's 64 digits from its page at the provider.",
        )
    return version


def _prompt_input(name: str, inputs: Mapping[str, InputSpec]) -> str:
    found = _first(_PROMPTS, inputs, ("string",))
    texts = [key for key, spec in inputs.items() if spec.type == "string" and spec.choices is None]
    needed = [key for key in texts if inputs[key].required]
    if found is None and len(needed) == 1:
        found = needed[0]
    if found is None:
        raise UnusableModelError(
            f"{name} has no input that takes a prompt's text: its texts are "
            f"{', '.join(texts) or 'none'}.",
            hint="Write its entry by hand, with prompt_input, as the packaged models.yaml shows.",
        )
    return found


def _first(
    names: tuple[str, ...], inputs: Mapping[str, InputSpec], types: tuple[str, ...]
) -> str | None:
    return next((name for name in names if name in inputs and inputs[name].type in types), None)


def _counted(name: str, fields: Mapping[str, object]) -> Model:
    """Return the model with every input that asks for several outputs fixed to one.

    Raises:
        UnusableModelError: The entry would not hold together.
    """
    # What multiplies matters only where something is priced by the output.
    priced = [{"unit": "run", "usd": "0", "effective": "2026-01-01", "source": "none"}]
    fixed: dict[str, JsonValue] = {}
    count: str | None = None
    try:
        draft = Model.model_validate({**fields, "prices": priced})
        for field_name, _ in uncounted(draft):
            found = field_name.removeprefix("inputs.")
            spec = draft.inputs[found]
            fixed[found] = _one(spec)
            if count is None and spec.type in ("integer", "number"):
                count = found
        return Model.model_validate(
            {
                **fields,
                "fixed_inputs": fixed,
                "count_input": count,
                "varies": fields["seed_input"] is None,
            }
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise UnusableModelError(
            f"{name} can't be described: {where}: {first['msg']}.".replace(": : ", ": "),
            hint="Write its entry by hand, as the packaged models.yaml shows.",
        ) from None


def _one(spec: InputSpec) -> JsonValue:
    """Return the value with which an input asks for one output."""
    if spec.type == "boolean":
        return False
    for choice in spec.choices or ():
        if whole(choice) == 1 or str(choice).lower() in ("disabled", "off", "none", "no", "single"):
            return choice
    return 1 if spec.type in ("integer", "number") else "1"


def _number(written: str) -> JsonValue:
    """Return a bound as people write it: 4, not "4.0"."""
    number = float(written)
    return int(number) if number.is_integer() else number
