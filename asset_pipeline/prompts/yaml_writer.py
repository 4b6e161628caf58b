"""A collection to YAML that people like to read and that reads back to the same texts."""

from __future__ import annotations

from collections.abc import Sequence

import yaml

from asset_pipeline.config.yaml_source import plain_value
from asset_pipeline.prompts.resolver import Collection
from asset_pipeline.prompts.spec import PromptEntry

_WIDTH = 100


def collection_yaml(collection: Collection, entries: Sequence[PromptEntry]) -> str:
    """Return a collection file in block style; fields that say nothing are left out."""
    document = {
        "collection": collection.name,
        "defaults": collection.defaults.model_dump(exclude_defaults=True),
        "prompts": [entry.model_dump(exclude_defaults=True) for entry in entries],
    }
    return readable_yaml(document)


def readable_yaml(document: object) -> str:
    """Return a document in block style, its texts quoted only where they would read back wrong."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH)


class _Dumper(yaml.SafeDumper):
    """Writes several lines as a block, and quotes whatever would read back as no text."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 -- PyYAML's signature
        # PyYAML writes a list's dashes below the key they belong to; people indent them.
        super().increase_indent(flow, False)


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None
    if "\n" in text:
        style = "|"
    elif plain_value(text) != text:
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)  # pyright: ignore[reportUnknownMemberType] -- its stub leaves the value untyped


_Dumper.add_representer(str, _represent_text)
