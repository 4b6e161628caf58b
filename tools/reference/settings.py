"""The page of the settings, from the fields that read them."""

from __future__ import annotations

import types
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from asset_pipeline.settings import Settings
from tools.reference.markdown import code, table

_INTRODUCTION = """# Settings

All settings are environment variables, read once when a command or a run starts. An empty one
counts as not set. A secret is never shown, logged or stored. The libraries that open buckets read
the variables of AWS and Google besides ([stores](../stores.md)), Dagster reads
`DAGSTER_HOME`, and `HTTPS_PROXY` and `NO_PROXY` name a proxy.
"""

_NAMES = {str: "text", int: "whole number", float: "number", bool: "true or false"}
_NAMES |= {Decimal: "US dollars", Path: "folder", SecretStr: "secret text"}


def settings_page() -> str:
    """Return the page: each variable with what it takes, its default and its meaning."""
    rows = [
        [code(field.alias or name), _form(field), _default(field), field.description or ""]
        for name, field in Settings.model_fields.items()
    ]
    return f"{_INTRODUCTION}\n{table(['Variable', 'Takes', 'Default', 'Meaning'], rows)}\n"


def _form(field: FieldInfo) -> str:
    bounds = [
        f"{word} {bound}"
        for word, bound in (("at least", _bound(field, "ge")), ("at most", _bound(field, "le")))
        if bound is not None
    ]
    return ", ".join([_type_name(field.annotation), *bounds])


def _bound(field: FieldInfo, name: str) -> object:
    return next((getattr(each, name) for each in field.metadata if hasattr(each, name)), None)


def _type_name(annotation: Any) -> str:  # noqa: ANN401 -- annotations have no common type
    origin = get_origin(annotation)
    if origin in {Union, types.UnionType}:
        (some,) = [each for each in get_args(annotation) if each is not type(None)]
        return _type_name(some)
    if origin is Literal:
        return ", ".join(code(str(each)) for each in get_args(annotation))
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return ", ".join(code(str(each.value)) for each in annotation)
    return _NAMES.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is None or value == "":
        return ""
    return code(str(value).lower() if isinstance(value, bool) else str(value))
