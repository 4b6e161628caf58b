"""The page of the Dagster resources and of what a run's config takes."""

from __future__ import annotations

from asset_pipeline.definitions import default_resources
from tools.reference.markdown import code, prose, table

_INTRODUCTION = """# Resources

The resources of the code location, by the names that assets ask for. Each can be replaced:
`build_defs({"store": MyStore()})` gives the same definitions with another store. Their fields can
be set in the launchpad under `resources`; what has no field is decided by the
[settings](settings.md).
"""


def resources_page() -> str:
    """Return the page: each resource with its fields, their defaults and what they mean."""
    parts = [_INTRODUCTION]
    for name, resource in default_resources().items():
        described = type(resource)
        parts.append(f"## {name}\n\n{code(described.__module__ + '.' + described.__qualname__)}")
        parts.append(prose(described.__doc__))
        rows = [
            [code(field_name), _default(field.default), field.description or ""]
            for field_name, field in described.model_fields.items()
            if not _is_resource(getattr(resource, field_name))
        ]
        uses = [
            code(field_name)
            for field_name in described.model_fields
            if _is_resource(getattr(resource, field_name))
        ]
        if uses:
            parts.append(f"It uses {', '.join(uses)}.")
        if rows:
            parts.append(table(["Field", "Default", "Meaning"], rows))
    return "\n\n".join(parts) + "\n"


def _is_resource(value: object) -> bool:
    return hasattr(value, "setup_for_execution")


def _default(value: object) -> str:
    return "" if "Undefined" in type(value).__name__ or value is None else code(str(value))
