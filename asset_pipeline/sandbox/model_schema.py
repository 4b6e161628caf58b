"""A model's OpenAPI document, in the form that Cog generates and Replicate serves.

Choices stand apart in schemas of their own, files are texts in the format `uri`, and `x-order`
keeps the inputs in the order of the model's code.
"""

from __future__ import annotations

from pydantic import JsonValue

from asset_pipeline.catalog.spec import InputSpec, Model, OutputShape

_FILE: dict[str, JsonValue] = {"type": "string", "format": "uri"}


def model_schema(model: Model) -> dict[str, JsonValue]:
    """Return the document of a model."""
    choices: dict[str, JsonValue] = {
        field: {
            "enum": list(spec.choices),
            "type": spec.type,
            "title": field,
            "description": "An enumeration.",
        }
        for field, spec in model.inputs.items()
        if spec.choices is not None
    }
    inputs: dict[str, JsonValue] = {
        "type": "object",
        "title": "Input",
        "required": [field for field, spec in model.inputs.items() if spec.required],
        "properties": {
            field: _property(field, spec, order)
            for order, (field, spec) in enumerate(model.inputs.items())
        },
    }
    schemas: dict[str, JsonValue] = {"Input": inputs, "Output": _output(model), **choices}
    return {
        "openapi": "3.0.2",
        "info": {"title": "Cog", "version": "0.1.0"},
        "components": {"schemas": schemas},
    }


def _property(field: str, spec: InputSpec, order: int) -> JsonValue:
    shown: dict[str, JsonValue] = {"x-order": order, "description": spec.description}
    if spec.default is not None:
        shown["default"] = spec.default
    if spec.choices is not None:
        return {**shown, "allOf": [{"$ref": f"#/components/schemas/{field}"}]}
    shown["title"] = field.replace("_", " ").capitalize()
    shown.update(_FILE if spec.type == "file" else {"type": spec.type})
    for name, bound in (("minimum", spec.minimum), ("maximum", spec.maximum)):
        if bound is not None:
            shown[name] = int(bound) if bound == int(bound) else float(bound)
    if spec.max_length is not None:
        shown["maxLength"] = spec.max_length
    return shown


def _output(model: Model) -> JsonValue:
    match model.output:
        case OutputShape.ONE:
            return {**_FILE, "title": "Output"}
        case OutputShape.LIST:
            return {"type": "array", "items": dict(_FILE), "title": "Output"}
        case OutputShape.OBJECT:
            key = model.output_key or "file"
            return {
                "type": "object",
                "title": "ModelOutput",
                "required": [key],
                "properties": {key: {**_FILE, "title": key}},
            }
