"""What the selection flags choose."""

from __future__ import annotations

import pytest

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.cli._selection import PromptSelection
from asset_pipeline.prompts.library import Library
from asset_pipeline.prompts.spec import Prompt
from asset_pipeline.prompts.states import PromptState, PromptStates


def _prompt(kind: Kind, prompt_id: str, collection: str, *tags: str) -> Prompt:
    return Prompt(
        kind=kind,
        prompt_id=prompt_id,
        collection=collection,
        text=prompt_id,
        style="",
        model="a/b",
        variants=1,
        inputs={},
        tags=tags,
        reference=None,
        reference_sha256=None,
        path="",
    )


_PROMPTS = [
    _prompt(Kind.IMAGE, "landed", "one", "x"),
    _prompt(Kind.IMAGE, "failed", "one"),
    _prompt(Kind.IMAGE, "edited", "two", "x"),
    _prompt(Kind.IMAGE, "edited-and-failed", "two"),
    _prompt(Kind.AUDIO, "new", "two", "y"),
    _prompt(Kind.AUDIO, "running", "two"),
]
_LIBRARY = Library({(prompt.kind, prompt.prompt_id): prompt for prompt in _PROMPTS}, ())
_STATES = PromptStates(
    {
        (Kind.IMAGE, "landed"): PromptState.LANDED,
        (Kind.IMAGE, "failed"): PromptState.FAILED,
        (Kind.IMAGE, "edited"): PromptState.LANDED,
        (Kind.IMAGE, "edited-and-failed"): PromptState.FAILED,
        (Kind.AUDIO, "running"): PromptState.RUNNING,
    },
    frozenset({(Kind.IMAGE, "edited"), (Kind.IMAGE, "edited-and-failed")}),
)


@pytest.mark.parametrize(
    ("choice", "chosen"),
    [
        (PromptSelection(), "new"),
        (PromptSelection(missing=True), "new"),
        (PromptSelection(failed=True), "failed edited-and-failed"),
        (PromptSelection(stale=True), "edited edited-and-failed"),
        (PromptSelection(missing=True, stale=True), "edited edited-and-failed new"),
        (PromptSelection(everything=True, kinds=[Kind.AUDIO]), "new running"),
        (PromptSelection(everything=True, collections=["one"], tags=["x"]), "landed"),
        (PromptSelection(everything=True, tags=["x", "y"]), "landed edited new"),
        (PromptSelection(failed=True, collections=["one"]), "failed"),
        (PromptSelection(prompt_ids=["landed", "new"]), "landed new"),
        (PromptSelection(prompt_ids=["landed", "new"], missing=True), "new"),
        (PromptSelection(failed=True, limit=1), "failed"),
        (PromptSelection(everything=True, limit=2), "landed failed"),
    ],
)
def test_names_narrow_and_states_add_up(choice: PromptSelection, chosen: str) -> None:
    """Kind, collection, prompt and tag intersect; missing, failed and stale are united."""
    assert [prompt.prompt_id for prompt in choice.take(_LIBRARY, lambda: _STATES)] == chosen.split()


def test_states_are_not_asked_for_when_they_do_not_matter() -> None:
    """Choosing all, or prompts by name, never waits for Dagster."""

    def ask() -> PromptStates:
        raise AssertionError("nobody asked")

    assert len(PromptSelection(everything=True).take(_LIBRARY, ask)) == len(_PROMPTS)
    assert len(PromptSelection(prompt_ids=["new"]).take(_LIBRARY, ask)) == 1
