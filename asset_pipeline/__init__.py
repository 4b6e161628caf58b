"""Prompts to images and audio on Replicate, as Dagster partitions, never paid twice.

Each package is a room; what belongs in it, and what does not, stands at its top. The rooms and the
direction of imports between them are drawn in ``docs/architecture.md``.

From a notebook, ``Project.open().clips()`` is a data frame; nothing is imported for it until then.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asset_pipeline.project.project import Project

__all__ = ["Project"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 -- of a module: whatever the name stands for
    """Import `Project` when somebody asks for it."""
    if name == "Project":
        return import_module("asset_pipeline.project.project").Project
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
