"""What a person may say in the launchpad: checked before a cent moves, and what it does."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run_iterator
from dagster._core.loader import LoadingContextForTest

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.defs.resources.ledger import LedgerResource
from asset_pipeline.defs.resources.prompt_library import PromptLibraryResource
from asset_pipeline.defs.run_config import ClipsConfig
from asset_pipeline.defs.staleness import stale_prompts
from asset_pipeline_tests.support.project import SCHNELL, SPEECH, Project

DEV = "black-forest-labs/flux-dev"
PROMPTS = ({"id": "ash", "text": "An ash tree"}, {"id": "birch", "text": "A birch"})


def _stale(project: Project) -> dict[str, str]:
    """How Dagster's own resolver and the command line's flags see it, which must agree."""
    resolver = CachingStaleStatusResolver(
        project.instance,
        project.defs.resolve_asset_graph(),
        LoadingContextForTest(project.instance),
    )
    keys = project.instance.get_dynamic_partitions("image_prompts")
    shown = {key: resolver.get_status(dg.AssetKey("image"), key).value for key in keys}
    prompts = PromptLibraryResource().load().library.of_kind(Kind.IMAGE)
    selected = set(stale_prompts(project.instance, Kind.IMAGE, prompts))
    assert {key for key, status in shown.items() if status == "STALE"} == selected
    return shown


def _models(prompt_id: str) -> list[tuple[int, str]]:
    with LedgerResource().open() as ledger:
        clips = ledger.current_clips_of(Kind.IMAGE, prompt_id)
    return [(clip.variant, clip.model) for clip in clips]


def _failure(result: dg.ExecuteInProcessResult) -> str:
    failure = result.get_step_failure_events()[0].step_failure_data.user_failure_data
    assert failure is not None
    assert failure.description is not None
    return failure.description


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"max_usd": "2,50"}, "max_usd: '2,50' is no amount in US dollars; write it like '2.50'."),
        ({"max_usd": "-1"}, "max_usd: '-1' is no amount"),
        ({"max_in_flight": 0}, "max_in_flight: 0 is not between 1 and 1000."),
        ({"variants": 101}, "variants: 101 is not between 1 and 100."),
        ({"model": "flux"}, "model: "),
        ({"model": SPEECH}, "makes audio, and this is about image."),
        ({"model": "stability-ai/sdxl"}, "has no price"),
    ],
)
def test_a_wrong_config_is_refused_in_words(
    project: Project, config: dict[str, Any], message: str
) -> None:
    """Nothing is paid, nothing is tried again, and the failure says what to write instead."""
    project.write(Kind.IMAGE, *PROMPTS)
    project.sync()
    result = project.run(Kind.IMAGE, "ash", **config)
    assert message in _failure(result)
    assert not result.filter_events(lambda event: event.event_type_value == "STEP_UP_FOR_RETRY")
    assert project.charges() == []


def test_all_that_is_wrong_is_said_at_once(project: Project) -> None:
    """Nobody launches five times to hear of five mistakes."""
    project.write(Kind.IMAGE, *PROMPTS)
    project.sync()
    result = project.run(Kind.IMAGE, "ash", max_usd="x", max_in_flight=-1, variants=0, model="y")
    for field in ("max_usd", "max_in_flight", "variants", "model"):
        assert f"{field}: " in _failure(result)


def test_every_field_is_described() -> None:
    """A person in the launchpad reads what each field does and what it costs."""
    for name, field in ClipsConfig.model_fields.items():
        assert field.description, name
    assert "PAYS AGAIN" in (ClipsConfig.model_fields["force"].description or "")
    for name in ("model", "variants"):
        assert "STALE" in (ClipsConfig.model_fields[name].description or "")


def test_another_model_is_paid_for_under_its_own_request(project: Project) -> None:
    """It becomes current and shows as stale; writing it into the file makes it fresh, for nothing.

    And the other way back is free too: the files' own clip is still stored.
    """
    project.write(Kind.IMAGE, *PROMPTS)
    project.sync()
    project.run(Kind.IMAGE, span=("ash", "birch"))
    assert project.run(Kind.IMAGE, "ash", model=DEV).success
    assert _models("ash") == [(1, DEV)]
    assert project.charged() == project.ledger_charged() == 2 * 3000 + 25_000
    assert _stale(project) == {"ash": "STALE", "birch": "FRESH"}

    # Its inputs are what flux-dev was sent: megapixels among them, which both models have.
    project.write(Kind.IMAGE, {**PROMPTS[0], "model": DEV}, PROMPTS[1])
    project.sync()
    assert _stale(project) == {"ash": "FRESH", "birch": "FRESH"}
    assert project.run(Kind.IMAGE, "ash").success
    assert len(project.charges()) == 3, "what the run paid for is what the file asks for now"

    project.write(Kind.IMAGE, *PROMPTS)
    project.sync()
    assert _stale(project) == {"ash": "STALE", "birch": "FRESH"}
    assert project.run(Kind.IMAGE, "ash").success
    assert _models("ash") == [(1, SCHNELL)]
    assert _stale(project) == {"ash": "FRESH", "birch": "FRESH"}
    assert len(project.charges()) == 3, "the first clip was never thrown away"


def test_more_variants_cost_only_the_new_ones(project: Project) -> None:
    """A batch told to make three pays for two more of each; the partitions are stale till then."""
    project.write(Kind.IMAGE, *PROMPTS)
    project.sync()
    project.run(Kind.IMAGE, span=("ash", "birch"))
    assert project.run(Kind.IMAGE, "ash", "birch", variants=3).success
    assert [variant for variant, _ in _models("ash")] == [1, 2, 3]
    assert len(project.charges()) == 2 + 4
    assert _stale(project) == {"ash": "STALE", "birch": "STALE"}
    project.write(Kind.IMAGE, *PROMPTS, variants=3)
    project.sync()
    assert _stale(project) == {"ash": "FRESH", "birch": "FRESH"}


def test_an_override_that_changes_nothing_leaves_everything_fresh(project: Project) -> None:
    """Naming the file's own model is no other wish."""
    project.write(Kind.IMAGE, *PROMPTS)
    project.sync()
    project.run(Kind.IMAGE, span=("ash", "birch"), model=SCHNELL, variants=1)
    assert _stale(project) == {"ash": "FRESH", "birch": "FRESH"}
    assert len(project.charges()) == 2


def test_a_prompt_that_the_model_refuses_fails_alone(project: Project) -> None:
    """Where inputs don't fit the other model the prompt is named, and nothing is paid for it."""
    odd = {"id": "odd", "text": "A wide hill", "inputs": {"aspect_ratio": "21:9"}}
    project.write(Kind.IMAGE, PROMPTS[0], odd)
    project.sync()
    result = project.run(Kind.IMAGE, "ash", "odd", model="black-forest-labs/flux-1.1-pro")
    assert "1 prompt failed: odd (invalid_input: it can't be made by" in _failure(result)
    assert "aspect_ratio" in _failure(result)
    assert project.statuses(Kind.IMAGE) == {"ash": "MATERIALIZED", "odd": "FAILED"}
    assert project.charged() == 40_000


def _repeat(project: Project, first: dg.DagsterRun | None, **config: object) -> dg.DagsterRun:
    """Execute a run again as the UI does: its tags are copied, and its root is named."""
    job = project.defs.resolve_job_def("image_clips")
    run = project.instance.create_run_for_job(
        job,
        run_config={"ops": {"image": {"config": config}}},
        tags={**(first.tags if first else {}), "dagster/partition": "ash"},
        root_run_id=None if first is None else first.root_run_id or first.run_id,
        parent_run_id=None if first is None else first.run_id,
    )
    list(execute_run_iterator(InMemoryJob(job), run, project.instance))
    return project.instance.get_run_by_id(run.run_id) or run


def test_a_cap_is_of_the_launch_however_often_it_is_repeated(project: Project) -> None:
    """Three executions of one launch spend its cap once, by one budget."""
    project.write(
        Kind.IMAGE, *({"id": f"{name}", "text": name} for name in ("ash", "birch", "fir"))
    )
    project.sync()
    run = None
    for _ in range(3):
        run = _repeat(project, run, prompt_ids=["ash", "birch", "fir"], max_usd="0.003")
        assert run.status is dg.DagsterRunStatus.FAILURE
        assert run.tags["asset_pipeline/ended"] == "refused"
    assert project.charged() == project.ledger_charged() == 3000
    with LedgerResource().open() as ledger:
        lines = [line for line in ledger.balances() if line.period == "run"]
    assert [(line.cap, line.charged) for line in lines] == [(3000, 3000)]
