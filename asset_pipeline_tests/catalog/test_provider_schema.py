"""Reading what a provider says of a model, whatever it says."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.catalog.provider_schema import (
    UnusableModelError,
    describe_model,
    objections_to_example,
)
from asset_pipeline.catalog.reader import load_catalog
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.sandbox.model_schema import model_schema

CATALOG = load_catalog(None)
VERSION = "0f3c7a1d5b9e2468ace013579bdf2468ace013579bdf2468ace013579bdf2468"
FILE = {"type": "string", "format": "uri"}


def _document(
    properties: dict[str, Any],
    *,
    output: Any = None,  # noqa: ANN401 -- any schema
    required: tuple[str, ...] = ("prompt",),
    example: dict[str, Any] | None = None,
    **schemas: Any,  # noqa: ANN401 -- the same
) -> dict[str, Any]:
    inputs = {"properties": properties, "required": list(required), "type": "object"}
    components = {"Input": inputs, "Output": output or FILE, **schemas}
    return {
        "is_official": False,
        "default_example": example,
        "latest_version": {
            "id": VERSION,
            "openapi_schema": {"components": {"schemas": components}},
        },
    }


@pytest.mark.parametrize("name", sorted(CATALOG.models))
def test_every_shipped_model_reads_back_from_its_schema(name: str) -> None:
    """Types, bounds, choices, defaults, version and form of the output survive the way around."""
    model = CATALOG.get(name)
    document = {
        "is_official": model.official,
        "latest_version": {
            "id": model.version or "hidden",
            "openapi_schema": model_schema(model),
        },
    }
    read = describe_model(name, document, kind=model.kind).model
    assert dict(read.inputs) == {
        key: spec if spec.description else spec.model_copy(update={"description": told})
        for key, spec in model.inputs.items()
        for told in [read.inputs[key].description]
    }
    assert (read.output, read.output_key, read.version) == (
        model.output,
        model.output_key,
        model.version,
    )
    assert (read.prompt_input, read.seed_input) == (model.prompt_input, model.seed_input)
    assert read.reference_input == model.reference_input
    assert read.count_input == model.count_input
    assert read.fixed_inputs == model.fixed_inputs


def test_what_prompts_cant_give_is_named() -> None:
    """Lists, secrets and odd names are left out with a word each; a needed one is refused."""
    properties: dict[str, Any] = {
        "prompt": {"type": "string", "x-order": 0},
        "images": {"type": "array", "items": FILE, "x-order": 1},
        "api_key": {"type": "string", "format": "password", "x-cog-secret": True},
        "a b": {"type": "string"},
        "width": {"anyOf": [{"type": "integer"}, {"type": "null"}], "maximum": 2048},
    }
    found = describe_model("a/b", _document(properties))
    assert [line.partition(":")[0] for line in found.left_out] == ["images", "api_key", "a b"]
    assert found.model.inputs["width"].maximum == 2048
    assert found.model.kind is Kind.IMAGE
    with pytest.raises(UnusableModelError, match="needs images"):
        describe_model("a/b", _document(properties, required=("prompt", "images")))


def test_inputs_that_multiply_the_price_are_fixed_to_one() -> None:
    """One prediction stays one clip, whatever the model could do."""
    properties: dict[str, Any] = {
        "prompt": {"type": "string"},
        "num_outputs": {"type": "integer", "default": 4, "minimum": 1, "maximum": 8},
        "sequential_image_generation": {"allOf": [{"$ref": "#/components/schemas/mode"}]},
        "aspect_ratio": {"type": "string"},
    }
    mode = {"enum": ["disabled", "auto"], "type": "string"}
    model = describe_model("a/b", _document(properties, mode=mode)).model
    assert model.count_input == "num_outputs"
    assert model.fixed_inputs["num_outputs"] == 1
    assert model.varies


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({}, "no published version"),
        ({"latest_version": None}, "no published version"),
        ([], "no published version"),
        (_document({"prompt": {"type": "string"}}, output={"type": "string"}), "makes no file"),
        (_document({"prompt": {"type": "string"}}), "pictures or sound"),
        (_document({"image": FILE, "width": {"type": "integer"}}, required=()), "no input that"),
        (
            {**_document({"prompt": {"type": "string"}}), "latest_version": {"id": "x"}},
            "no published version",
        ),
    ],
)
def test_what_cant_be_used_is_told(document: object, words: str) -> None:
    """Each is a sentence with a way out."""
    with pytest.raises(UnusableModelError, match=words) as told:
        describe_model("a/b", document)
    assert told.value.hint


def test_the_kind_is_told_by_the_example() -> None:
    """The file of the provider's own example says what a model makes, before any name does."""
    properties = {"prompt": {"type": "string"}, "duration": {"type": "integer"}}
    example = {"output": ["https://x.example/a.webp?x=1"], "input": {"duration": "long"}}
    found = describe_model("a/b", _document(properties, example=example))
    assert found.model.kind is Kind.IMAGE
    assert len(list(objections_to_example(found))) == 1


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=True) | st.integers() | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(place=st.integers(0, 12), value=_JSON)
def test_no_document_brings_it_down(place: int, value: Any) -> None:  # noqa: ANN401 -- any JSON
    """Wherever something odd stands, it is read around or refused in a sentence."""
    document = copy.deepcopy(
        _document(
            {
                "prompt": {"type": "string", "maxLength": 5},
                "width": {"type": "integer", "minimum": 1, "default": 5},
                "style": {"allOf": [{"$ref": "#/components/schemas/style"}]},
            },
            example={"input": {"width": 5}, "output": "https://x.example/a.png"},
            style={"enum": ["a"], "type": "string"},
        )
    )
    schemas = document["latest_version"]["openapi_schema"]["components"]["schemas"]
    properties = schemas["Input"]["properties"]
    places: list[tuple[Any, str]] = [
        (properties, "width"),
        (properties["width"], "minimum"),
        (properties["width"], "default"),
        (properties["width"], "x-order"),
        (properties["style"], "allOf"),
        (properties["prompt"], "maxLength"),
        (schemas["Input"], "required"),
        (schemas["Input"], "properties"),
        (schemas["style"], "enum"),
        (schemas, "Output"),
        (document["default_example"], "input"),
        (document["default_example"], "output"),
        (document, "latest_version"),
    ]
    holder, key = places[place]
    holder[key] = value
    try:
        found = describe_model("a/b", document)
    except AssetPipelineError:
        return
    assert list(objections_to_example(found)) is not None
    assert found.entry()["prompt_input"] == "prompt"
