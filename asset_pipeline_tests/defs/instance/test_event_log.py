from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import AssetObservationData
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
)

from asset_pipeline.defs.instance.event_log import PooledSqliteEventLogStorage

ROOT = Path(__file__).parent.parent.parent.parent
KEY = dg.AssetKey("ash")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "dagster.yaml").write_text((ROOT / "dagster_home" / "dagster.yaml").read_text())
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    return tmp_path


def _observe(instance: dg.DagsterInstance, partition: str) -> None:
    instance.report_runless_asset_event(dg.AssetObservation(KEY, partition=partition))


def _observed(instance: dg.DagsterInstance) -> set[str | None]:
    records = instance.fetch_observations(KEY, limit=1000).records
    return {record.partition_key for record in records}


def test_the_instance_config_uses_the_pooled_log(home: Path) -> None:
    """dagster.yaml as shipped opens the pooled storage below DAGSTER_HOME."""
    with dg.DagsterInstance.get() as instance:
        assert isinstance(instance.event_log_storage, PooledSqliteEventLogStorage)
        _observe(instance, "one")
        assert _observed(instance) == {"one"}
    assert (home / "history" / "runs" / "index.db").exists()


def test_the_stock_storage_reads_the_same_files(home: Path) -> None:
    """Whoever removes the setting keeps all history."""
    with dg.DagsterInstance.get() as instance:
        _observe(instance, "one")
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}")
    with dg.DagsterInstance.get() as stock:
        assert type(stock.event_log_storage) is SqliteEventLogStorage
        assert _observed(stock) == {"one"}


@pytest.mark.usefixtures("home")
def test_threads_and_instances_write_at_once() -> None:
    """Two instances with eight threads lose no event and lock nobody out."""
    with dg.DagsterInstance.get() as first, dg.DagsterInstance.get() as second:
        both = [first, second]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda n: _observe(both[n % 2], str(n)), range(80)))
        assert _observed(first) == _observed(second) == {str(n) for n in range(80)}


@pytest.mark.usefixtures("home")
def test_few_connections_stay_open_however_many_runs_are_read() -> None:
    """A daemon that looks at many runs keeps a bounded number of their files open."""
    with dg.DagsterInstance.get() as instance:
        storage = instance.event_log_storage
        assert isinstance(storage, PooledSqliteEventLogStorage)
        for number in range(30):
            storage.get_logs_for_run(f"run-{number}")
        assert len(storage._engines) <= 8


def _entry(partition: str, run_id: str = "", asset: str = "ash") -> dg.EventLogEntry:
    key = dg.AssetKey(asset)
    event = dg.DagsterEvent(
        event_type_value=dg.DagsterEventType.ASSET_OBSERVATION.value,
        job_name="",
        event_specific_data=AssetObservationData(
            dg.AssetObservation(
                key, partition=partition, tags={"dagster/data_version": f"v-{partition}"}
            )
        ),
    )
    return dg.EventLogEntry(
        error_info=None,
        user_message="",
        level=20,
        run_id=run_id,
        timestamp=1_800_000_000.0,
        dagster_event=event,
    )


@pytest.mark.usefixtures("home")
def test_a_batch_is_what_its_events_one_by_one_are() -> None:
    """Ids ascend, tags and assets are known, and a run's events are in its own log too."""
    with dg.DagsterInstance.get() as instance:
        storage = instance.event_log_storage
        storage.store_event(_entry("alone"))
        batch = [_entry("one", "run-1"), _entry("two"), _entry("three", "run-1", asset="birch")]
        storage.store_event_batch(batch)
        storage.store_event_batch([])
        storage.store_event(_entry("after"))
        assert _observed(instance) == {"alone", "one", "two", "after"}
        observed = dg.DagsterEventType.ASSET_OBSERVATION
        ids = storage.get_latest_storage_id_by_partition(KEY, observed)
        assert sorted(ids, key=lambda partition: ids[partition]) == ["alone", "one", "two", "after"]
        tags = storage.get_latest_tags_by_partition(KEY, observed, ["dagster/data_version"])
        assert tags["two"] == {"dagster/data_version": "v-two"}
        assert set(storage.all_asset_keys()) == {KEY, dg.AssetKey("birch")}
        assert len(storage.get_logs_for_run("run-1")) == 2


@pytest.mark.usefixtures("home")
def test_batches_of_two_instances_do_not_mix() -> None:
    """Each batch's ids are its own, whoever writes meanwhile."""
    with dg.DagsterInstance.get() as first, dg.DagsterInstance.get() as second:
        storages = [first.event_log_storage, second.event_log_storage]

        def store(number: int) -> None:
            batch = [_entry(f"{number}-{index}") for index in range(20)]
            storages[number % 2].store_event_batch(batch)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(store, range(12)))
        observed = dg.DagsterEventType.ASSET_OBSERVATION
        ids = storages[0].get_latest_storage_id_by_partition(KEY, observed)
        tags = storages[1].get_latest_tags_by_partition(KEY, observed, ["dagster/data_version"])
        assert len(ids) == len(set(ids.values())) == 240
        assert all(tags[key] == {"dagster/data_version": f"v-{key}"} for key in ids)


@pytest.mark.usefixtures("home")
def test_partitions_are_remembered_only_while_they_stand() -> None:
    """Whoever adds or deletes keys, in this process or another, everybody sees it at once."""
    with dg.DagsterInstance.get() as first, dg.DagsterInstance.get() as second:
        for instance, other in ((first, second), (second, first)):
            instance.add_dynamic_partitions("trees", ["ash", "birch"])
            assert other.get_dynamic_partitions("trees") == ["ash", "birch"]
            other.delete_dynamic_partition("trees", "birch")
            other.add_dynamic_partitions("trees", ["cedar"])
            for each in (first, second):
                assert each.get_dynamic_partitions("trees") == ["ash", "cedar"]
                assert each.get_dynamic_partitions("shrubs") == []
            _observe(other, "ash")
            assert instance.get_dynamic_partitions("trees") == ["ash", "cedar"]
            for key in ("ash", "cedar"):
                instance.delete_dynamic_partition("trees", key)


@pytest.mark.usefixtures("home")
def test_a_backfills_planned_partitions_are_written_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A run of many partitions announces them in one write, not in one for each."""
    monkeypatch.delenv("DAGSTER_EVENT_BATCH_SIZE", raising=False)
    names = [f"p{number:03}" for number in range(50)]

    @dg.asset(partitions_def=dg.StaticPartitionsDefinition(names))
    def clip() -> None:
        """Never run."""

    job = dg.Definitions(assets=[clip]).resolve_implicit_global_asset_job_def()
    writes: list[int] = []
    stored = PooledSqliteEventLogStorage.store_event_batch

    def count(self: PooledSqliteEventLogStorage, events: Sequence[dg.EventLogEntry]) -> None:
        writes.append(len(events))
        stored(self, events)

    monkeypatch.setattr(PooledSqliteEventLogStorage, "store_event_batch", count)
    with dg.DagsterInstance.get() as instance:
        tags = {ASSET_PARTITION_RANGE_START_TAG: names[0], ASSET_PARTITION_RANGE_END_TAG: names[-1]}
        run = instance.create_run_for_job(job, tags=tags, asset_selection=frozenset({clip.key}))
        planned = instance.get_records_for_run(
            run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED
        ).records
    assert writes == [50]
    assert {record.partition_key for record in planned} == set(names)


@pytest.mark.usefixtures("home")
def test_processes_are_told_what_only_the_environment_can_tell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A backfill outlives its code server, and planned partitions are written together."""
    retry, size = "DAGSTER_BACKFILL_RETRY_DEFINITION_CHANGED_ERROR", "DAGSTER_EVENT_BATCH_SIZE"
    monkeypatch.delenv(retry, raising=False)
    monkeypatch.setenv(size, "7")
    with dg.DagsterInstance.get():
        assert os.environ[retry]
        assert os.environ[size] == "7", "who says otherwise is heard"
