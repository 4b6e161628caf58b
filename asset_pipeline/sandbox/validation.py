"""Checking a create's body and input as Replicate does, and normalising the input as it may.

The normalisation is small and deliberate: the end of every string is stripped of whitespace, and
whole numbers sent for a fraction become fractions. A client that looks for its prediction by
comparing inputs byte for byte will not find it here either.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from pydantic import JsonValue

from asset_pipeline.catalog.spec import InputSpec, Model
from asset_pipeline.sandbox.problems import InvalidField, ProblemError, invalid

_JSON_TYPES: dict[type, str] = {
    type(None): "null",
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}
_BODY_FIELDS: dict[str, type] = {
    "input": dict,
    "webhook": str,
    "webhook_events_filter": list,
    "stream": bool,
}


def check_body(body: JsonValue, *, with_version: bool) -> dict[str, JsonValue]:
    """Return a create's body as an object with nothing but the fields the API knows.

    Args:
        body: What the request's JSON says.
        with_version: Whether the route takes, and needs, a ``version``.

    Raises:
        ProblemError: 422, naming each field.
    """
    if not isinstance(body, dict):
        issue = InvalidField("invalid_type", "(root)", "Invalid type. Expected: object")
        raise ProblemError(invalid([issue]))
    known = {**_BODY_FIELDS, "version": str} if with_version else _BODY_FIELDS
    issues = [
        InvalidField("required", "(root)", f"{name} is required")
        for name in (("version", "input") if with_version else ("input",))
        if name not in body
    ]
    for name, value in body.items():
        if name not in known:
            issues.append(
                InvalidField(
                    "additional_property_not_allowed",
                    "(root)",
                    f"Additional property {name} is not allowed",
                )
            )
        elif not isinstance(value, known[name]):
            issues.append(_wrong_type(name, _JSON_TYPES[known[name]], value))
    if issues:
        raise ProblemError(invalid(issues))
    return body


def check_input(model: Model, inputs: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return the normalised input; inputs that the model does not know pass, as on Replicate.

    Raises:
        ProblemError: 422, naming each field.
    """
    issues = [
        InvalidField("required", "input", f"{name} is required")
        for name, spec in model.inputs.items()
        if spec.required and inputs.get(name) is None
    ]
    for name, value in inputs.items():
        spec = model.inputs.get(name)
        if spec is not None and value is not None:
            issues.extend(_issues(f"input.{name}", spec, value))
    if issues:
        raise ProblemError(invalid(issues))
    return {name: _normalised(model.inputs.get(name), value) for name, value in inputs.items()}


def _issues(field: str, spec: InputSpec, value: JsonValue) -> list[InvalidField]:
    expected = {"file": "string"}.get(spec.type, spec.type)
    if _json_type(value) != expected and not (
        expected == "number" and _json_type(value) == "integer"
    ):
        return [_wrong_type(field, expected, value)]
    found: list[InvalidField] = []
    if spec.choices is not None and value not in spec.choices:
        allowed = ", ".join(json.dumps(choice) for choice in spec.choices)
        text = f"{field} must be one of the following: {allowed}"
        found.append(InvalidField("enum", field, text))
    if isinstance(value, int | float) and not isinstance(value, bool):
        if spec.minimum is not None and value < spec.minimum:
            text = f"Must be greater than or equal to {spec.minimum}"
            found.append(InvalidField("number_gte", field, text))
        if spec.maximum is not None and value > spec.maximum:
            text = f"Must be less than or equal to {spec.maximum}"
            found.append(InvalidField("number_lte", field, text))
    if isinstance(value, str):
        if spec.max_length is not None and len(value) > spec.max_length:
            text = f"String length must be less than or equal to {spec.max_length}"
            found.append(InvalidField("string_lte", field, text))
        if spec.type == "file" and not value.startswith(("http://", "https://", "data:")):
            found.append(InvalidField("format", field, "Does not match format 'uri'"))
    return found


def _wrong_type(field: str, expected: str, value: JsonValue) -> InvalidField:
    text = f"Invalid type. Expected: {expected}, given: {_json_type(value)}"
    return InvalidField("invalid_type", field, text)


def _json_type(value: JsonValue) -> str:
    if isinstance(value, float) and value.is_integer():
        return "integer"
    return _JSON_TYPES[type(value)]


def _normalised(spec: InputSpec | None, value: JsonValue) -> JsonValue:
    if isinstance(value, str):
        return value.rstrip()
    if spec is not None and isinstance(value, int | float) and not isinstance(value, bool):
        if spec.type == "integer":
            return int(value)
        if spec.type == "number":
            return float(value)
    return value
