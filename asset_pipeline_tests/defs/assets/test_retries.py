"""Failures in Dagster: its own retries with the class's wait, final failures, and what is shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.tags import RETRY_ON_ASSET_OR_OP_FAILURE_TAG, WILL_RETRY_TAG

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.definitions import build_defs
from asset_pipeline.defs.failure_events import failure_of
from asset_pipeline.defs.resources.ledger import LedgerResource
from asset_pipeline.errors import ConfigurationError
from asset_pipeline.generation.batch import PromptOutcome
from asset_pipeline.generation.failures import ErrorClass, GenerationFailure
from asset_pipeline_tests.support.generation_samples import COVER
from asset_pipeline_tests.support.project import Project
from asset_pipeline_tests.support.settled_files import write_settled

IMAGE = dg.AssetKey("image")
FLAKY = {"error": "Prediction interrupted; please retry (code: PA)"}
NSFW = {"error": "NSFW content detected. Try running it again, or try a different prompt."}
WAITING = {"strategies": ["delayed_retry"], "base_delay_seconds": 0.5, "max_delay_seconds": 1}


def _prompts(*ids: str) -> list[dict[str, str]]:
    return [{"id": prompt_id, "text": f"A picture called {prompt_id}"} for prompt_id in ids]


def _restarts(result: dg.ExecuteInProcessResult) -> list[dg.DagsterEvent]:
    return result.filter_events(lambda event: event.event_type_value == "STEP_UP_FOR_RETRY")


def test_a_retry_is_dagsters_and_carries_the_wait_of_the_class(project: Project) -> None:
    """When nothing but waiting is left the step asks for a retry; what landed is not touched."""
    project.write(Kind.IMAGE, *_prompts("ash", "birch"))
    project.sync()
    project.rules(server_error={**WAITING, "jitter": 0, "max_attempts": 3})
    assert project.run(Kind.IMAGE, "ash").success
    project.fault({"fault": "failed", "match": {"prompt": "birch"}, "times": 2, "params": FLAKY})
    # One at a time: no other clip is under way when the failed one has to wait.
    result = project.run(Kind.IMAGE, span=("ash", "birch"), max_in_flight=1)
    assert result.success
    waits = [event.step_retry_data.seconds_to_wait for event in _restarts(result)]
    assert len(waits) == 2
    assert all(0 < (wait or 0) <= 0.5 for wait in waits)
    assert len(project.charges()) == 4
    assert project.charged() == project.ledger_charged() == 6000
    logged = project.instance.fetch_materializations(IMAGE, limit=10).records
    assert sorted(record.partition_key or "" for record in logged) == ["ash", "ash", "birch"]


def test_a_retried_step_asks_for_nothing_that_was_given_up(project: Project) -> None:
    """What failed for good before the retry is not sent again by it: the ledger remembers."""
    project.write(Kind.IMAGE, *_prompts("ash", "birch", "cedar"))
    project.sync()
    # Longer than a blank picture takes, which is fetched twice: nothing is under way by then.
    longer = {"base_delay_seconds": 5, "max_delay_seconds": 5, "jitter": 0}
    project.rules(server_error={**WAITING, **longer, "max_attempts": 3})
    project.fault(
        {"fault": "failed", "match": {"prompt": "ash"}, "params": NSFW},
        {"fault": "blank", "match": {"prompt": "birch"}},
        {"fault": "failed", "match": {"prompt": "cedar"}, "times": 2, "params": FLAKY},
    )
    result = project.run(Kind.IMAGE, span=("ash", "cedar"), max_in_flight=1)
    assert not result.success
    assert _restarts(result)
    assert project.statuses(Kind.IMAGE) == {
        "ash": "FAILED",
        "birch": "FAILED",
        "cedar": "MATERIALIZED",
    }
    # One refusal for its content, a blank picture, two faults and the clip.
    assert len(project.charges()) == 5
    assert project.charged() == project.ledger_charged() == 6000
    shown = _shown(project, "birch")
    assert (shown["failed"], shown["attempts"]) == ("bad_output", 1)


def test_attempts_run_out_across_retries(project: Project) -> None:
    """Three attempts are three, though each is in another try of the step."""
    project.write(Kind.IMAGE, *_prompts("ash"))
    project.sync()
    project.rules(server_error={**WAITING, "max_attempts": 3})
    project.fault({"fault": "failed", "params": FLAKY})
    result = project.run(Kind.IMAGE, "ash")
    assert not result.success
    assert len(_restarts(result)) == 2
    assert len(project.charges()) == 3
    assert _shown(project, "ash")["attempts"] == 3


def test_a_failed_partition_says_why_and_what_to_do(project: Project) -> None:
    """On its own page: class, message, attempts, money at stake, next step."""
    project.write(Kind.IMAGE, *_prompts("ash", "birch"))
    project.sync()
    project.fault({"fault": "blank", "match": {"prompt": "birch"}})
    result = project.run(Kind.IMAGE, span=("ash", "birch"))
    shown = _shown(project, "birch")
    assert shown["failed"] == "bad_output"
    assert "single colour" in str(shown["message"])
    assert shown["attempts"] == 1
    assert shown["money_at_stake"] == "$0.003 charged"
    assert str(shown["next_step"]).startswith("Generate again")
    assert shown["prediction_id"]
    data = result.get_step_failure_events()[0].step_failure_data.user_failure_data
    assert data is not None
    table = str(data.metadata["failed_prompts"].value)
    assert "| attempts | money at stake | next step |" in table
    assert "| 1 | $0.003 charged |" in table
    assert _observations(project, "ash") == []


def test_a_permanent_failure_keeps_run_retries_off(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run carries the tag: the daemon leaves it, even where the instance repeats such runs."""
    for name, value in (("run_retries_enabled", True), ("run_retries_max_retries", 3)):
        monkeypatch.setattr(dg.DagsterInstance, name, property(lambda _, value=value: value))
    project.write(Kind.IMAGE, *_prompts("ash"))
    project.sync()
    project.fault({"fault": "failed", "params": NSFW})
    result = project.run(Kind.IMAGE, "ash")
    assert not result.success
    assert _restarts(result) == []
    run = project.instance.get_run_by_id(result.run_id)
    assert run is not None
    assert run.tags[RETRY_ON_ASSET_OR_OP_FAILURE_TAG] == "false"
    assert run.tags[WILL_RETRY_TAG] == "false"


def test_the_retry_policy_comes_from_the_rules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An edited file is the asset's policy; a wrong one is told at the start."""
    monkeypatch.setenv("ASSET_PIPELINE_CONFIG_DIR", str(tmp_path))
    rules = tmp_path / "retry_rules.yaml"
    write_settled(rules, "max_total_retries: 5\nclasses: {server_error: {base_delay_seconds: 4}}\n")
    op = build_defs().resolve_assets_def("image").op
    assert op.retry_policy is not None
    assert (op.retry_policy.max_retries, op.retry_policy.delay) == (5, 4)
    write_settled(rules, "max_total_retries: many\n")
    with pytest.raises(ConfigurationError, match=r"retry_rules\.yaml: max_total_retries"):
        build_defs()


def test_the_longest_wait_is_asked_for_and_the_rules_bound_the_retries() -> None:
    """Several clips wait: the step waits once, for all; after the last retry it fails for good."""
    outcome = PromptOutcome(COVER, failures=[_waiting(2.0)])
    other = PromptOutcome(COVER, failures=[GenerationFailure(ErrorClass.UNKNOWN, "x")])
    longer = PromptOutcome(COVER, failures=[_waiting(7.5)])
    retry = failure_of([outcome, other, longer], retry_number=3, max_retries=4)
    assert isinstance(retry, dg.RetryRequested)
    assert (retry.seconds_to_wait, retry.max_retries) == (7.5, 4)
    assert isinstance(retry.__cause__, dg.Failure)
    assert isinstance(failure_of([outcome], retry_number=4, max_retries=4), dg.Failure)
    final = failure_of([other], retry_number=0, max_retries=4)
    assert isinstance(final, dg.Failure)
    assert final.allow_retries is False


def test_what_really_made_a_clip_is_shown(project: Project) -> None:
    """A refused prompt is made of a simpler text: materialized, and it says so."""
    project.write(Kind.IMAGE, {"id": "ash", "text": "A bloody field at dawn"})
    project.sync()
    project.fault({"fault": "failed", "match": {"prompt": "bloody"}, "params": NSFW})
    assert project.run(Kind.IMAGE, "ash").success
    records = project.instance.fetch_materializations(IMAGE, limit=1).records
    event = records[0].asset_materialization
    assert event is not None
    assert "| 1 | simplified_prompt | " in str(event.metadata["made_instead"].value)
    assert "| A field at dawn |" in str(event.metadata["made_instead"].value)
    assert event.metadata["prompt"].value == "A bloody field at dawn"
    with LedgerResource().open() as ledger:
        (clip,) = ledger.current_clips_of(Kind.IMAGE, "ash")
    assert clip.strategy == "simplified_prompt"


def _waiting(seconds: float) -> GenerationFailure:
    failure = GenerationFailure(ErrorClass.SERVER_ERROR, "x")
    failure.again_after = seconds
    return failure


def _observations(project: Project, partition: str) -> list[dg.EventLogRecord]:
    found = dg.AssetRecordsFilter(IMAGE, asset_partitions=[partition])
    return list(project.instance.fetch_observations(found, limit=10).records)


def _shown(project: Project, partition: str) -> dict[str, Any]:
    (record,) = _observations(project, partition)
    assert record.asset_observation is not None
    return {name: value.value for name, value in record.asset_observation.metadata.items()}
