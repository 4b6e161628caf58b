"""What follows a batch: asked when there is reason to, run together, and never by paying."""

from __future__ import annotations

from contextvars import copy_context
from dataclasses import dataclass, field

import dagster as dg
import pytest
from dagster._core.definitions.sensor_definition import SensorExecutionData

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.defs.assets.warehouse import TABLES
from asset_pipeline.defs.sensors.follow_up import FollowUpSensor
from asset_pipeline_tests.support.clocks import FakeClock
from asset_pipeline_tests.support.project import Project


@dataclass
class Follower:
    """Evaluates the sensor as the code server does, and runs what it asks for."""

    project: Project
    clock: FakeClock
    sensor: FollowUpSensor
    cursor: str | None = None
    said: str = ""
    requests: list[dg.RunRequest] = field(default_factory=list)

    def tick(self) -> list[dg.RunRequest]:
        context = dg.build_sensor_context(
            instance=self.project.instance,
            cursor=self.cursor,
            repository_def=self.project.defs.get_repository_def(),
            sensor_name="follow_up",
        )
        # Evaluating leaves the instance behind in a context variable.
        data: SensorExecutionData = copy_context().run(self.sensor.evaluate_tick, context)
        self.cursor, self.said = data.cursor, data.skip_message or ""
        self.requests = list(data.run_requests or ())
        return self.requests

    def renditions(self) -> list[list[str]]:
        """Return the prompts of each requested run of renditions."""
        return [
            run.run_config["ops"]["image_rendition"]["config"]["prompt_ids"]
            for run in self.requests
            if "image_rendition" in run.run_config.get("ops", {})
        ]


@pytest.fixture
def follower(project: Project, clock: FakeClock) -> Follower:
    sensor = FollowUpSensor(
        "follow_up",
        target=dg.AssetSelection.groups("renditions", "warehouse").without_checks(),
        clock=clock,
        description="As the project's own.",
    )
    follower = Follower(project, clock, sensor)
    project.write(
        Kind.IMAGE,
        *({"id": name, "text": f"A {name}"} for name in ("ash", "birch", "cedar", "doum", "elm")),
    )
    project.sync()
    follower.tick()
    return follower


def test_clips_here_and_there_are_rendered_in_one_run(follower: Follower) -> None:
    """Dagster alone would make one run of each contiguous stretch."""
    project = follower.project
    assert project.run(Kind.IMAGE, "ash", "cedar", "elm").success
    follower.tick()
    assert follower.renditions() == [["ash", "cedar", "elm"]]
    (run,) = [each for each in follower.requests if each.run_config]
    assert run.partition_key == "ash"
    assert run.tags["asset_pipeline/kind"] == "image"
    result = project.defs.resolve_implicit_global_asset_job_def().get_subset(
        asset_selection={dg.AssetKey("image_rendition")}
    )
    done = result.execute_in_process(
        instance=project.instance, partition_key="ash", run_config=run.run_config
    )
    assert done.success
    landed = project.instance.get_materialized_partitions(dg.AssetKey("image_rendition"))
    assert landed == {"ash", "cedar", "elm"}
    follower.tick()
    assert follower.renditions() == []


def test_the_tables_are_published_once_a_batch(follower: Follower) -> None:
    """One request for all tables and the gallery, however many clips landed."""
    assert follower.project.run(Kind.IMAGE, span=("ash", "elm")).success
    wanted = [key for run in follower.tick() for key in run.asset_selection or ()]
    tables = [key for key in wanted if key.path[0] in {"warehouse", "gallery"}]
    assert len(tables) == len(set(tables)) == len(TABLES) + 1


def test_only_what_landed_is_rendered(follower: Follower) -> None:
    """A failed clip has no rendition, and its neighbours have theirs."""
    project = follower.project
    project.fault({"fault": "failed", "match": {"prompt": "cedar"}, "params": {"error": "NSFW"}})
    assert not project.run(Kind.IMAGE, span=("ash", "elm")).success
    follower.tick()
    assert follower.renditions() == [["ash", "birch", "doum", "elm"]]


def test_nothing_is_asked_when_nothing_happened(follower: Follower) -> None:
    """An idle tick evaluates no condition, which takes seconds for 100,000 partitions."""
    follower.tick()
    assert follower.tick() == []
    assert follower.said == "Nothing has happened."


def test_a_batch_is_waited_for_but_not_for_ever(follower: Follower) -> None:
    """While clips are made nothing is asked, for a quarter of an hour at the most."""
    project = follower.project
    follower.tick()
    assert project.run(Kind.IMAGE, "ash", "cedar").success
    job = project.defs.resolve_job_def("image_clips")
    project.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    assert follower.tick() == []
    assert follower.said == "1 runs are making clips; it follows up after them."
    follower.clock.advance(901)
    follower.tick()
    assert follower.renditions() == [["ash", "cedar"]]


def test_nothing_that_pays_has_a_condition(project: Project) -> None:
    """The sensor that runs by itself cannot spend."""
    graph = project.defs.resolve_asset_graph()
    for kind in Kind:
        assert graph.get(dg.AssetKey(kind.value)).automation_condition is None
