"""Choosing prompts by kind, collection, id and tag."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.config.suggestions import did_you_mean
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.prompts.library import Library
from asset_pipeline.prompts.spec import Prompt

_NAMES_LISTED = 12


@dataclass(frozen=True, slots=True)
class Selection:
    """A filter: a prompt matches one value of every field; an empty field matches all.

    Attributes:
        limit: The most prompts to take, in the library's order; None for all.
    """

    kinds: frozenset[Kind] = frozenset()
    collections: frozenset[str] = frozenset()
    prompt_ids: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    limit: int | None = None


def select(library: Library, selection: Selection) -> list[Prompt]:
    """Return the selected prompts in the library's order.

    Raises:
        AssetPipelineError: A collection, prompt id or tag is not in the library, because a name
            that selects nothing is a misspelt one; or the limit is not at least 1.
    """
    if selection.limit is not None and selection.limit < 1:
        raise AssetPipelineError(
            f"The limit is {selection.limit}.", hint="Take at least 1 prompt, or set no limit."
        )
    prompts = library.prompts.values()
    _require("collection", selection.collections, {prompt.collection for prompt in prompts})
    _require("tag", selection.tags, {tag for prompt in prompts for tag in prompt.tags})
    _require_ids(library, selection.prompt_ids)
    chosen = [prompt for prompt in prompts if _matches(prompt, selection)]
    return chosen[: selection.limit]


def _matches(prompt: Prompt, selection: Selection) -> bool:
    return (
        (not selection.kinds or prompt.kind in selection.kinds)
        and (not selection.collections or prompt.collection in selection.collections)
        and (not selection.prompt_ids or prompt.prompt_id in selection.prompt_ids)
        and (not selection.tags or not selection.tags.isdisjoint(prompt.tags))
    )


def _require_ids(library: Library, wanted: Iterable[str]) -> None:
    known = {prompt_id for _, prompt_id in library.prompts}
    for problem in library.problems:
        if problem.prompt_id in set(wanted) - known:
            raise AssetPipelineError(str(problem))
    _require("prompt", wanted, known)


def _require(what: str, wanted: Iterable[str], known: set[str]) -> None:
    for name in sorted(wanted):
        if name not in known:
            listed = sorted(known)
            hint = did_you_mean(name, listed)
            if hint.startswith("Known") and len(listed) > _NAMES_LISTED:
                hint = f"There are {len(listed):,}; 'prompts list' shows them."
            raise AssetPipelineError(f"There is no {what} {name!r}.", hint=hint)
