"""What commands and automation choose is what the Dagster UI shows."""

from __future__ import annotations

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver
from dagster._core.loader import LoadingContextForTest

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.definitions import build_defs
from asset_pipeline.defs import materializations, staleness
from asset_pipeline.defs.prompt_states import read_states
from asset_pipeline.defs.resources.prompt_library import PromptLibraryResource
from asset_pipeline.prompts.states import PromptState
from asset_pipeline_tests.support.project import Project

IMAGE = dg.AssetKey("image")
_UI = {
    "MATERIALIZED": PromptState.LANDED,
    "FAILED": PromptState.FAILED,
    "IN_PROGRESS": PromptState.RUNNING,
    None: PromptState.MISSING,
}


def _write(project: Project, *ids: str, edited: str = "") -> None:
    prompts = [{"id": name, "text": f"A {name}{' at dusk' * (name in edited)}"} for name in ids]
    project.write(Kind.IMAGE, *prompts)
    project.sync()


def _agree(project: Project, defs: dg.Definitions | None = None) -> set[str]:
    """Hold statuses and staleness against Dagster's own, and return what is stale."""
    prompts = PromptLibraryResource().load().library.of_kind(Kind.IMAGE)
    states = read_states(project.instance, prompts.values())
    shown = project.statuses(Kind.IMAGE)
    assert {name: states.of(prompt) for name, prompt in prompts.items()} == {
        name: _UI[shown[name]] for name in prompts
    }
    graph = (defs or project.defs).resolve_asset_graph()
    resolver = CachingStaleStatusResolver(
        project.instance, graph, LoadingContextForTest(project.instance)
    )
    stale = {name for name in prompts if resolver.get_status(IMAGE, name).value == "STALE"}
    assert {name for name, prompt in prompts.items() if states.is_stale(prompt)} == stale
    return stale


def test_states_are_the_ones_the_ui_shows(project: Project) -> None:
    """Landed, failed, missing, edited, failed again after an edit, and made once more."""
    project.fault({"fault": "failed", "match": {"prompt": "cedar"}, "params": {"error": "NSFW"}})
    names = ("ash", "birch", "cedar", "doum", "elm", "fir")
    _write(project, *names)
    project.run(Kind.IMAGE, span=("ash", "cedar"))
    project.run(Kind.IMAGE, "elm")
    assert _agree(project) == set()
    _write(project, *names, edited="ash cedar elm")
    assert _agree(project) == {"ash", "elm"}
    project.fault({"fault": "failed", "match": {"prompt": "ash"}, "params": {"error": "NSFW"}})
    project.run(Kind.IMAGE, "ash", "doum", "elm")
    assert _agree(project) == {"ash"}
    project.heal()
    project.run(Kind.IMAGE, "ash", "cedar")
    assert _agree(project) == set()
    _write(project, *names)
    assert _agree(project) == {"ash", "cedar", "elm"}


def test_new_code_makes_what_was_made_by_the_old_stale(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clips of the new version are fresh, whenever the others landed."""
    _write(project, "ash", "birch", "cedar")
    project.run(Kind.IMAGE, span=("ash", "cedar"))
    for module in (materializations, staleness):
        monkeypatch.setattr(module, "CODE_VERSION", "2")
    monkeypatch.setattr("asset_pipeline.defs.assets.clips.CODE_VERSION", "2")
    newer = build_defs()
    assert _agree(project, newer) == {"ash", "birch", "cedar"}
    project.run(Kind.IMAGE, "birch")
    assert _agree(project, newer) == {"ash", "cedar"}


def test_an_edit_costs_one_payment(project: Project) -> None:
    """One prompt edited: its clip is stale, no other; making the stale ones pays once."""
    names = [f"tree-{number}" for number in range(6)]
    _write(project, *names)
    project.run(Kind.IMAGE, span=(names[0], names[-1]))
    before = len(project.charges())
    _write(project, *names, edited="tree-3")
    assert _agree(project) == {"tree-3"}
    project.run(Kind.IMAGE, *_agree(project))
    assert _agree(project) == set()
    assert len(project.charges()) == before + 1


def test_runs_are_tagged_by_what_they_make(project: Project) -> None:
    """However a run was launched, it is found by kind, collection and budget."""
    _write(project, "ash", "birch")
    result = project.run(Kind.IMAGE, span=("ash", "birch"))
    run = project.instance.get_run_by_id(result.run_id)
    assert run is not None
    assert {name: value for name, value in run.tags.items() if "asset_pipeline" in name} == {
        "asset_pipeline/kind": "image",
        "asset_pipeline/collection": "images",
        "asset_pipeline/budget": "shared",
    }


def test_a_selection_with_gaps_is_in_progress_while_it_runs(project: Project) -> None:
    """All of its prompts show as being made, so nobody asks for them a second time."""
    _write(project, "ash", "birch", "cedar")
    seen: list[dict[str, str | None]] = []
    real = project.instance.event_log_storage.store_event_batch

    def watch(events: list[dg.EventLogEntry]) -> None:
        if events and events[0].get_dagster_event().is_step_materialization:
            seen.append(project.statuses(Kind.IMAGE))
        real(events)

    project.instance.event_log_storage.store_event_batch = watch  # type: ignore[method-assign]
    assert project.run(Kind.IMAGE, "ash", "cedar").success
    assert seen[0] == {"ash": "IN_PROGRESS", "birch": None, "cedar": "IN_PROGRESS"}
