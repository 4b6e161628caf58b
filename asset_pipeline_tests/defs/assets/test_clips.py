from __future__ import annotations

import dagster as dg

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.defs.assets.prompts import observed_hashes
from asset_pipeline.defs.resources.ledger import LedgerResource
from asset_pipeline.defs.resources.prompt_library import PromptLibraryResource
from asset_pipeline_tests.support.project import Project

IMAGE = dg.AssetKey("image")


def _prompts(*ids: str) -> list[dict[str, str]]:
    return [{"id": prompt_id, "text": f"A picture called {prompt_id}"} for prompt_id in ids]


def _latest(project: Project, partition: str) -> dg.AssetMaterialization:
    records = project.instance.fetch_materializations(
        dg.AssetRecordsFilter(IMAGE, asset_partitions=[partition]), limit=1
    ).records
    assert records[0].asset_materialization is not None
    return records[0].asset_materialization


def test_one_partition_is_an_ordinary_materialization(project: Project) -> None:
    """A run of one key yields a result with what people look at and a data version."""
    project.write(Kind.IMAGE, *_prompts("fern"), variants=2)
    project.sync()
    assert project.run(Kind.IMAGE, "fern").success
    event = _latest(project, "fern")
    assert str(event.metadata["preview"].value).count("data:image/webp;base64,") == 2
    assert len(str(event.metadata["thumbnail"].value)) < 1000
    assert event.metadata["cost_usd"].value == 0.006
    assert "file://" in str(event.metadata["clips"].value)
    assert event.tags is not None
    prompt = PromptLibraryResource().load().library.prompts[Kind.IMAGE, "fern"]
    assert event.tags["dagster/input_data_version/image_prompt"] == prompt.prompt_hash
    assert project.charged() == project.ledger_charged() == 6000


def test_a_batch_logs_each_partition_and_fails_by_name(project: Project) -> None:
    """In a range, landed partitions are green, the failed one red and named, the rest whole."""
    project.write(Kind.IMAGE, *_prompts("ash", "birch", "cedar", "doum"))
    project.sync()
    project.fault({"fault": "failed", "match": {"prompt": "cedar"}, "params": {"error": "NSFW"}})
    result = project.run(Kind.IMAGE, span=("ash", "doum"))
    assert not result.success
    assert project.statuses(Kind.IMAGE) == {
        "ash": "MATERIALIZED",
        "birch": "MATERIALIZED",
        "cedar": "FAILED",
        "doum": "MATERIALIZED",
    }
    failure = result.get_step_failure_events()[0].step_failure_data
    assert failure.user_failure_data is not None
    assert failure.user_failure_data.description is not None
    assert "1 prompt failed: cedar (content_policy: NSFW)" in failure.user_failure_data.description
    assert len(project.charges()) == 4, "a permanent failure is not retried"
    assert project.charged() == project.ledger_charged() == 9000


def test_a_selection_with_gaps_touches_nothing_else(project: Project) -> None:
    """A run with prompt ids plans exactly those: the one between stays missing, not failed."""
    project.write(Kind.IMAGE, *_prompts("ash", "birch", "cedar"))
    project.sync()
    project.fault({"fault": "failed", "match": {"prompt": "cedar"}, "params": {"error": "NSFW"}})
    assert not project.run(Kind.IMAGE, "ash", "cedar").success
    assert project.statuses(Kind.IMAGE) == {
        "ash": "MATERIALIZED",
        "birch": None,
        "cedar": "FAILED",
    }


def test_a_second_run_pays_nothing(project: Project) -> None:
    """Landed prompts are cache hits: materialized again, with a preview, for nothing."""
    project.write(Kind.IMAGE, *_prompts("ash", "birch"))
    project.sync()
    assert project.run(Kind.IMAGE, span=("ash", "birch")).success
    paid = project.charged()
    assert project.run(Kind.IMAGE, span=("ash", "birch")).success
    assert project.charged() == paid
    event = _latest(project, "ash")
    assert event.metadata["cache_hits"].value == 1
    assert event.metadata["paid_in_this_run"].value == "$0.00"


def test_landed_variants_of_a_failed_prompt_are_kept(project: Project) -> None:
    """A partition fails when one variant does; the landed variant is not paid again."""
    project.write(Kind.IMAGE, *_prompts("oak"), variants=2)
    project.sync()
    project.rules(bad_output={"strategies": ["fail"]})
    project.fault({"fault": "blank", "times": 1})
    assert not project.run(Kind.IMAGE, "oak").success
    assert len(project.charges()) == 2
    assert project.run(Kind.IMAGE, "oak").success
    assert len(project.charges()) == 3
    assert project.charged() == project.ledger_charged()


def test_force_pays_again_and_supersedes(project: Project) -> None:
    """With force a stored clip is made anew; the old row is kept as superseded."""
    project.write(Kind.IMAGE, *_prompts("ash"))
    project.sync()
    project.run(Kind.IMAGE, "ash")
    first = _latest(project, "ash")
    assert project.run(Kind.IMAGE, "ash", force=True).success
    assert len(project.charges()) == 2
    second = _latest(project, "ash")
    assert first.tags is not None
    assert second.tags is not None
    assert first.tags["dagster/data_version"] != second.tags["dagster/data_version"]
    with LedgerResource().open() as ledger:
        assert len(ledger.current_clips_of(Kind.IMAGE, "ash")) == 1


def test_a_breached_budget_fails_by_name_without_a_retry(project: Project) -> None:
    """The run's cap stops new work, lets paid work land, and says what is missing."""
    project.write(Kind.IMAGE, *_prompts("ash", "birch", "cedar"))
    project.sync()
    result = project.run(Kind.IMAGE, span=("ash", "cedar"), max_usd="0.006")
    assert not result.success
    failure = result.get_step_failure_events()[0].step_failure_data.user_failure_data
    assert failure is not None
    assert failure.description is not None
    assert failure.description.startswith(f"Budget 'run:{result.run_id}' has $0.00 left")
    assert not result.filter_events(lambda event: event.event_type_value == "STEP_RESTARTED")
    assert project.charged() == 6000
    assert sorted(map(str, project.statuses(Kind.IMAGE).values())).count("MATERIALIZED") == 2


def test_a_partition_without_a_prompt_fails_alone(project: Project) -> None:
    """A prompt that left the files fails by its name and keeps no other from landing."""
    project.write(Kind.IMAGE, *_prompts("ash", "birch"))
    project.sync()
    project.write(Kind.IMAGE, *_prompts("birch"))
    assert not project.run(Kind.IMAGE, span=("ash", "birch")).success
    assert project.statuses(Kind.IMAGE) == {"ash": "FAILED", "birch": "MATERIALIZED"}


def test_speech_is_materialized_with_its_waveform(project: Project) -> None:
    """Audio prompts land as verified sound with a duration and a waveform preview."""
    project.write(Kind.AUDIO, {"id": "hello", "text": "Hello and welcome."})
    project.sync()
    assert project.run(Kind.AUDIO, "hello").success
    with LedgerResource().open() as ledger:
        (clip,) = ledger.current_clips_of(Kind.AUDIO, "hello")
    assert clip.duration_seconds is not None
    assert clip.duration_seconds > 0.5
    assert project.charged() == project.ledger_charged() == len("Hello and welcome.") * 60


def test_an_edit_makes_only_its_own_clip_stale(project: Project) -> None:
    """Staleness is Dagster's own: one edited prompt, one stale partition, green after a run."""
    project.write(Kind.IMAGE, *_prompts("ash", "birch"))
    project.sync()
    project.run(Kind.IMAGE, span=("ash", "birch"))
    assert _stale(project) == {"ash": "FRESH", "birch": "FRESH"}
    edited = _prompts("ash", "birch")
    edited[1]["text"] += ", at dusk"
    project.write(Kind.IMAGE, *edited)
    project.sync()
    assert _stale(project) == {"ash": "FRESH", "birch": "STALE"}
    assert project.run(Kind.IMAGE, "birch").success
    assert _stale(project) == {"ash": "FRESH", "birch": "FRESH"}
    assert len(project.charges()) == 3


def test_observation_is_written_once_a_change(project: Project) -> None:
    """Syncing again without a change writes no event."""
    project.write(Kind.IMAGE, *_prompts("ash"))
    project.sync()
    before = observed_hashes(project.instance, Kind.IMAGE)
    count = len(_observations(project))
    project.sync()
    assert observed_hashes(project.instance, Kind.IMAGE) == before
    assert len(_observations(project)) == count


def _observations(project: Project) -> list[dg.EventLogRecord]:
    return list(project.instance.fetch_observations(dg.AssetKey("image_prompt"), limit=100).records)


def _stale(project: Project) -> dict[str, str]:
    from dagster._core.definitions.data_version import (  # noqa: PLC0415 -- not public
        CachingStaleStatusResolver,
    )
    from dagster._core.loader import LoadingContextForTest  # noqa: PLC0415 -- not public

    graph = project.defs.resolve_asset_graph()
    resolver = CachingStaleStatusResolver(
        project.instance, graph, LoadingContextForTest(project.instance)
    )
    keys = project.instance.get_dynamic_partitions("image_prompts")
    return {key: resolver.get_status(IMAGE, key).value for key in keys}
