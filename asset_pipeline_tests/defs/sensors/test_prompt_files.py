"""The sensor that follows the prompt files, tick by tick."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

import dagster as dg
import pytest
import yaml

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.defs.assets.prompts import observed_hashes
from asset_pipeline.defs.resources.ledger import LedgerResource
from asset_pipeline.defs.resources.prompt_library import PromptLibraryResource
from asset_pipeline.defs.sensors import prompt_files
from asset_pipeline.defs.sensors.prompt_file_changes import Notes
from asset_pipeline.defs.sensors.prompt_files import prompt_files_sensor
from asset_pipeline_tests.support.clocks import FakeClock
from asset_pipeline_tests.support.project import Project


@dataclass
class Ticker:
    """Evaluates the sensor as the daemon does, tick after tick."""

    project: Project
    clock: FakeClock
    cursor: str | None = None
    runs: Sequence[dg.RunRequest] = ()
    checks: Sequence[dg.AssetCheckEvaluation] = ()

    def tick(self) -> str:
        context = dg.build_sensor_context(
            instance=self.project.instance,
            cursor=self.cursor,
            resources={"prompt_library": PromptLibraryResource(), "ledger": LedgerResource()},
        )
        result = prompt_files_sensor(context)
        assert isinstance(result, dg.SensorResult)
        self.cursor = result.cursor
        self.runs = list(result.run_requests or ())
        self.checks = [
            event for event in result.asset_events if isinstance(event, dg.AssetCheckEvaluation)
        ]
        return "" if result.skip_reason is None else result.skip_reason.skip_message or ""

    def write(self, *ids: str, text: str = "A tree", **rules: bool) -> None:
        """Write the one collection, and let its time be long ago, as most files' are."""
        prompts = [{"id": prompt_id, "text": f"{text} called {prompt_id}"} for prompt_id in ids]
        self.project.write(Kind.IMAGE, *prompts)
        path = self.project.prompts_dir / "images" / "collection.yaml"
        path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **rules}))
        self.age()

    def age(self) -> None:
        then = time.time() - 60
        for path in self.project.prompts_dir.rglob("*.yaml"):
            os.utime(path, (then, then))

    @property
    def partitions(self) -> list[str]:
        return list(self.project.instance.get_dynamic_partitions("image_prompts"))

    def wanted(self) -> list[list[str]]:
        """Return the prompts of each run that was requested."""
        return [run.run_config["ops"]["image"]["config"]["prompt_ids"] for run in self.runs]


@pytest.fixture
def ticker(project: Project, monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> Ticker:
    monkeypatch.setattr(prompt_files, "SystemClock", lambda: clock)
    return Ticker(project, clock)


def test_new_and_edited_prompts_are_noticed_once(ticker: Ticker) -> None:
    """A tick adds partitions and observes edits; the next one has nothing to do."""
    ticker.write("ash")
    assert "image: 1 new, 1 new or edited" in ticker.tick()
    assert ticker.partitions == ["ash"]
    assert ticker.tick() == "No prompt file changed."
    ticker.write("ash", text="A tree at dusk")
    assert "image: 0 new, 1 new or edited" in ticker.tick()
    assert ticker.runs == []


def test_an_edit_made_just_now_is_not_missed(ticker: Ticker) -> None:
    """A second edit within the same beat of the clock, to the same size, is seen."""
    ticker.write("ash", text="An oak")
    path = ticker.project.prompts_dir / "images" / "collection.yaml"
    os.utime(path)
    stamp = path.stat().st_mtime
    ticker.tick()
    path.write_text(path.read_text().replace("An oak", "An elm"))
    os.utime(path, (stamp, stamp))
    assert "0 new, 1 new or edited" in ticker.tick()


def test_a_touched_file_is_no_change(ticker: Ticker) -> None:
    """Another time with the same bytes reads no library and writes no event."""
    ticker.write("ash")
    ticker.tick()
    ticker.age()
    assert ticker.tick() == "No prompt file changed."


def test_an_edited_reference_file_is_a_change(ticker: Ticker) -> None:
    """Files that prompts refer to lie in the same folder and are followed like them."""
    ticker.write("ash")
    reference = ticker.project.prompts_dir / "cat.png"
    reference.write_bytes(b"a cat")
    ticker.tick()
    reference.write_bytes(b"another cat")
    assert ticker.tick() != "No prompt file changed."


def test_the_cursor_of_200_files_is_small(ticker: Ticker) -> None:
    """Dagster stores the cursor with every tick."""
    folder = ticker.project.prompts_dir / "images"
    folder.mkdir()
    for number in range(200):
        (folder / f"collection-{number:03}.yaml").write_text("prompts: []\n")
    ticker.age()
    ticker.tick()
    assert ticker.cursor is not None
    assert len(ticker.cursor) < 16_000
    assert len(Notes.read(ticker.cursor).files) == 200


@pytest.mark.parametrize("cursor", ["f" * 64, "{}", "[]", '{"version": 0, "files": 3}'])
def test_a_cursor_of_another_version_is_looked_past(ticker: Ticker, cursor: str) -> None:
    """After an upgrade all files are looked at anew."""
    ticker.write("ash")
    ticker.cursor = cursor
    assert "image: 1 new" in ticker.tick()


def test_a_broken_file_is_reported_and_blocks_no_other(ticker: Ticker) -> None:
    """The good prompts get their partitions; tick and check name the bad file."""
    ticker.write("ash")
    broken = ticker.project.prompts_dir / "images" / "broken.yaml"
    broken.write_text("prompts: [")
    ticker.age()
    assert "broken.yaml" in ticker.tick()
    assert ticker.partitions == ["ash"]
    checks = {check.asset_key.to_user_string(): check for check in ticker.checks}
    assert not checks["image_prompt"].passed
    assert "broken.yaml" in str(checks["image_prompt"].metadata["what"].value)
    assert checks["audio_prompt"].passed
    broken.unlink()
    ticker.tick()
    assert all(check.passed for check in ticker.checks)


def test_the_check_can_be_run_by_hand(project: Project) -> None:
    """It says the same as the sensor does."""
    project.write(Kind.IMAGE, {"id": "ash"})
    job = project.defs.resolve_implicit_global_asset_job_def().get_subset(
        asset_check_selection={
            dg.AssetCheckKey(dg.AssetKey("image_prompt"), "prompt_files_are_sound")
        }
    )
    result = job.execute_in_process(instance=project.instance)
    (evaluation,) = result.get_asset_check_evaluations()
    assert not evaluation.passed
    assert evaluation.description == "1 problems in 1 file."


def test_a_missing_folder_is_said_and_tried_again(ticker: Ticker) -> None:
    """Nothing is forgotten while the prompts can't be read."""
    ticker.write("ash")
    ticker.tick()
    ticker.project.prompts_dir.rename(ticker.project.root / "away")
    assert "cannot be read" in ticker.tick()
    (ticker.project.root / "away").rename(ticker.project.prompts_dir)
    assert ticker.tick() == "No prompt file changed."
    assert ticker.partitions == ["ash"]


def test_removed_prompts_keep_their_partitions(ticker: Ticker) -> None:
    """Their clips are paid for."""
    ticker.write("ash", "birch")
    ticker.tick()
    ticker.write("ash")
    assert "1 removed and kept" in ticker.tick()
    assert ticker.partitions == ["ash", "birch"]


def test_a_collection_that_says_so_prunes_its_own(ticker: Ticker) -> None:
    """The partition goes, what stood in another collection stays, and coming back is free."""
    other = ticker.project.prompts_dir / "images" / "other.yaml"
    ticker.write("ash", "birch", prune=True)
    written = "defaults: {model: black-forest-labs/flux-schnell}\nprompts:\n"
    other.write_text(f"{written}  - {{id: cedar, text: A cedar}}\n")
    ticker.age()
    ticker.tick()
    other.write_text(f"{written}  []\n")
    ticker.write("ash", prune=True)
    assert "1 pruned, 1 removed and kept" in ticker.tick()
    assert ticker.partitions == ["ash", "cedar"]
    ticker.write("ash", "birch", prune=True)
    assert "image: 1 new, 0 new or edited" in ticker.tick()


def test_nothing_is_pruned_while_a_file_is_broken(ticker: Ticker) -> None:
    """A prompt that can't be read is not one that was removed."""
    ticker.write("ash", "birch", prune=True)
    ticker.tick()
    path = ticker.project.prompts_dir / "images" / "collection.yaml"
    whole = path.read_text()
    path.write_text(whole.replace("id: birch", "id: Birch!"))
    ticker.tick()
    path.write_text("prompts: [")
    ticker.tick()
    assert ticker.partitions == ["ash", "birch"]


def test_automatic_collections_get_one_run_for_all_that_is_due(ticker: Ticker) -> None:
    """New and edited prompts are requested together; what failed as it stands is not."""
    project = ticker.project
    project.fault({"fault": "failed", "match": {"prompt": "cedar"}, "params": {"error": "NSFW"}})
    ticker.write("ash", "birch", "cedar", auto=True)
    ticker.tick()
    assert ticker.wanted() == [["ash", "birch", "cedar"]]
    (run,) = ticker.runs
    assert run.tags["asset_pipeline/kind"] == "image"
    assert run.tags["asset_pipeline/collection"] == "images"
    project.run(Kind.IMAGE, "ash", "birch", "cedar")
    ticker.clock.advance(301)
    ticker.tick()
    assert ticker.wanted() == []
    ticker.write("ash", "birch", "cedar", "doum", text="A shrub", auto=True)
    ticker.tick()
    assert ticker.wanted() == [["ash", "birch", "cedar", "doum"]]


def test_automatic_runs_stay_within_the_budgets(
    ticker: Ticker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a budget has no room for waits, and is asked for once there is room."""
    monkeypatch.setenv("ASSET_PIPELINE_BUDGET_TOTAL_USD", "0.007")
    ticker.write("ash", "birch", "cedar", auto=True)
    ticker.tick()
    assert ticker.wanted() == [["ash", "birch"]]
    ticker.project.run(Kind.IMAGE, "ash", "birch")
    assert ticker.tick() == "No prompt file changed."
    ticker.clock.advance(301)
    assert "no room in total" in ticker.tick()
    assert ticker.wanted() == []
    monkeypatch.setenv("ASSET_PIPELINE_BUDGET_TOTAL_USD", "1")
    ticker.clock.advance(301)
    ticker.tick()
    assert ticker.wanted() == [["cedar"]]


def test_an_automatic_run_that_has_not_ended_is_waited_for(ticker: Ticker) -> None:
    """Until it ended nobody knows what is left of the budgets, nor which prompts are due."""
    ticker.write("ash", auto=True)
    ticker.tick()
    job = ticker.project.defs.resolve_job_def("image_clips")
    ticker.project.instance.create_run_for_job(
        job, tags={"dagster/sensor_name": "prompt_files"}, status=dg.DagsterRunStatus.STARTED
    )
    ticker.write("ash", "birch", auto=True)
    assert "its last automatic run has not ended" in ticker.tick()
    assert ticker.wanted() == []


def test_a_bulk_that_takes_too_long_goes_on_with_the_next_tick(
    ticker: Ticker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dagster gives up on a tick after a minute; what is done by then is kept."""
    monkeypatch.setattr("asset_pipeline.defs.partition_sync._A_CALL", 2)
    monkeypatch.setattr(prompt_files, "_SECONDS", 1.5)
    monkeypatch.setattr(ticker.clock, "monotonic", iter(range(1000)).__next__)
    ids = [f"plant-{number}" for number in range(7)]
    ticker.write(*ids, auto=True)
    messages = []
    while not messages or "there is more" in messages[-1]:
        messages.append(ticker.tick())
    assert len(messages) > 3
    assert ticker.partitions == ids
    assert set(observed_hashes(ticker.project.instance, Kind.IMAGE)) == set(ids)
    assert ticker.wanted() == [ids]
    assert json.loads(ticker.cursor or "")["unfinished"] is False


def test_a_renamed_prompt_keeps_its_clip(ticker: Ticker) -> None:
    """Dagster shows it under the new id by a run that can't pay, once; a new prompt gets none."""
    project = ticker.project
    project.write(Kind.IMAGE, {"id": "ash", "text": "A tree"})
    ticker.age()
    ticker.tick()
    project.run(Kind.IMAGE, "ash")
    paid = project.charged()
    project.write(
        Kind.IMAGE, {"id": "old-ash", "text": "A tree"}, {"id": "birch", "text": "Another"}
    )
    ticker.age()
    ticker.tick()
    assert ticker.wanted() == [["old-ash"]]
    config = ticker.runs[0].run_config["ops"]["image"]["config"]
    assert project.run(Kind.IMAGE, "old-ash", max_usd=config["max_usd"]).success
    assert project.statuses(Kind.IMAGE)["old-ash"] == "MATERIALIZED"
    assert project.charged() == paid
    (check,) = [each for each in ticker.checks if each.asset_key == dg.AssetKey("image_prompt")]
    assert "ash, renamed to old-ash" in str(check.metadata["gone_partitions"].value)
    ticker.cursor = None
    ticker.tick()
    assert ticker.wanted() == []
