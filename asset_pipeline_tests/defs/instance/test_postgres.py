"""Dagster's storage on Postgres: what it stores is what the stock class stores, in fewer writes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.events import (
    AssetMaterializationPlannedData,
    AssetObservationData,
    StepMaterializationData,
)
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
)
from pydantic import SecretStr
from sqlalchemy import text

from asset_pipeline.errors import ConfigurationError
from asset_pipeline.settings import ProviderName
from asset_pipeline_tests.support.postgres import new_database

pytest.importorskip("dagster_postgres", reason="the extra `team` is not installed")

from dagster_postgres import PostgresEventLogStorage

from asset_pipeline.defs.instance.postgres import (
    BatchedPostgresEventLogStorage,
    PostgresStorageByProvider,
    storage_url,
)

_ROOT = Path(__file__).parents[3]
_ASH, _BIRCH = dg.AssetKey("ash"), dg.AssetKey("birch")


@pytest.fixture
def database(postgres: SecretStr) -> str:
    """The address of an empty database."""
    return new_database(postgres).get_secret_value()


@pytest.fixture
def home(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A DAGSTER_HOME with the instance file of a server."""
    shipped = (_ROOT / "deploy" / "dagster.postgres.yaml").read_text()
    (tmp_path / "dagster.yaml").write_text(shipped)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", database)
    monkeypatch.setenv("ASSET_PIPELINE_PROVIDER", "replicate")
    return tmp_path


def _entry(kind: str, asset: dg.AssetKey, partition: str) -> dg.EventLogEntry:
    tags = {"dagster/data_version": f"v-{partition}"}
    made = dg.AssetMaterialization(asset, partition=partition, tags=tags, metadata={"n": 1})
    data: dict[str, Any] = {
        "ASSET_OBSERVATION": AssetObservationData(
            dg.AssetObservation(asset, partition=partition, tags=tags)
        ),
        "ASSET_MATERIALIZATION_PLANNED": AssetMaterializationPlannedData(asset, partition),
        "ASSET_MATERIALIZATION": StepMaterializationData(made),
    }
    return dg.EventLogEntry(
        error_info=None,
        user_message="",
        level=20,
        run_id="run-1",
        timestamp=1_800_000_000.0,
        dagster_event=dg.DagsterEvent(
            event_type_value=kind, job_name="", event_specific_data=data[kind]
        ),
    )


def _rows(storage: PostgresEventLogStorage) -> dict[str, list[tuple[Any, ...]]]:
    """Return all that a storage wrote, in the order of its numbers."""
    queries = {
        "events": "SELECT id, run_id, event, dagster_event_type, timestamp, step_key, asset_key,"
        " partition FROM event_logs ORDER BY id",
        "tags": "SELECT event_id, asset_key, key, value, event_timestamp FROM asset_event_tags"
        " ORDER BY id",
        "assets": "SELECT asset_key, last_materialization, last_run_id,"
        " last_materialization_timestamp FROM asset_keys ORDER BY asset_key",
    }
    with storage.index_connection() as connection:
        return {
            name: [tuple(row) for row in connection.execute(text(query))]
            for name, query in queries.items()
        }


def test_what_it_stores_is_what_the_stock_class_stores(postgres: SecretStr) -> None:
    """Rows, numbers, tags and assets are equal, whatever types and assets a batch mixes."""
    kinds = ("ASSET_MATERIALIZATION_PLANNED", "ASSET_OBSERVATION", "ASSET_MATERIALIZATION")
    events = [
        _entry(kind, asset, f"p{number}")
        for number in range(5)
        for asset in (_ASH, _BIRCH)
        for kind in kinds
    ]
    written = []
    for made in (PostgresEventLogStorage, BatchedPostgresEventLogStorage):
        url = storage_url(new_database(postgres).get_secret_value(), ProviderName.REPLICATE)
        storage = made(url)
        for event in events[:4]:
            storage.store_event(event)
        storage.store_event_batch(events[4:])
        storage.store_event_batch([])
        written.append(_rows(storage))
        storage.dispose()
    stock, ours = written
    assert ours == stock
    assert len(ours["events"]) == len(events)
    assert len(ours["assets"]) == 2


@pytest.mark.usefixtures("home")
def test_the_stock_class_reads_the_same_tables(home: Path, database: str) -> None:
    """Whoever takes the setting away keeps all history."""
    with dg.DagsterInstance.get() as instance:
        assert isinstance(instance.event_log_storage, BatchedPostgresEventLogStorage)
        instance.report_runless_asset_event(dg.AssetObservation(_ASH, partition="one"))
    url = storage_url(database, ProviderName.REPLICATE)
    (home / "dagster.yaml").write_text(f"storage: {{postgres: {{postgres_url: {url!r}}}}}\n")
    with dg.DagsterInstance.get() as stock:
        assert type(stock.event_log_storage) is PostgresEventLogStorage
        records = stock.fetch_observations(_ASH, limit=5).records
    assert [record.partition_key for record in records] == ["one"]


@pytest.mark.usefixtures("home")
def test_a_backfills_planned_partitions_are_written_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A run of many partitions announces them in one write, and the class sees to it."""
    monkeypatch.delenv("DAGSTER_EVENT_BATCH_SIZE", raising=False)
    names = [f"p{number:03}" for number in range(50)]

    @dg.asset(partitions_def=dg.StaticPartitionsDefinition(names))
    def clip() -> None:
        """Never run."""

    job = dg.Definitions(assets=[clip]).resolve_implicit_global_asset_job_def()
    writes: list[int] = []
    stored = BatchedPostgresEventLogStorage.store_event_batch

    def count(self: BatchedPostgresEventLogStorage, events: Sequence[dg.EventLogEntry]) -> None:
        writes.append(len(events))
        stored(self, events)

    monkeypatch.setattr(BatchedPostgresEventLogStorage, "store_event_batch", count)
    with dg.DagsterInstance.get() as instance:
        tags = {ASSET_PARTITION_RANGE_START_TAG: names[0], ASSET_PARTITION_RANGE_END_TAG: names[-1]}
        run = instance.create_run_for_job(job, tags=tags, asset_selection=frozenset({clip.key}))
        planned = instance.get_records_for_run(
            run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED
        ).records
    assert writes == [50]
    assert {record.partition_key for record in planned} == set(names)


@pytest.mark.usefixtures("home")
def test_batches_of_two_instances_do_not_mix() -> None:
    """Each batch's numbers are its own, whoever writes meanwhile, and nobody is locked out."""
    observed = dg.DagsterEventType.ASSET_OBSERVATION
    with dg.DagsterInstance.get() as first, dg.DagsterInstance.get() as second:
        storages = [first.event_log_storage, second.event_log_storage]

        def store(number: int) -> None:
            # The two assets in either order: the rows of assets are taken one at a time.
            assets = [_ASH, _BIRCH][:: 1 if number % 2 else -1]
            batch = [
                _entry("ASSET_OBSERVATION", asset, f"{number}-{index}")
                for index in range(10)
                for asset in assets
            ]
            storages[number % 2].store_event_batch(batch)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(store, range(12)))
        ids = storages[0].get_latest_storage_id_by_partition(_ASH, observed)
        tags = storages[1].get_latest_tags_by_partition(_ASH, observed, ["dagster/data_version"])
        assert len(ids) == len(set(ids.values())) == 120
        assert all(tags[key] == {"dagster/data_version": f"v-{key}"} for key in ids)


@pytest.mark.usefixtures("home")
def test_partitions_are_remembered_only_while_they_stand() -> None:
    """Whoever adds or deletes keys, on this machine or another, everybody sees it at once."""
    with dg.DagsterInstance.get() as first, dg.DagsterInstance.get() as second:
        for instance, other in ((first, second), (second, first)):
            instance.add_dynamic_partitions("trees", ["ash", "birch"])
            assert other.get_dynamic_partitions("trees") == ["ash", "birch"]
            other.delete_dynamic_partition("trees", "birch")
            other.add_dynamic_partitions("trees", ["cedar"])
            for each in (first, second):
                assert each.get_dynamic_partitions("trees") == ["ash", "cedar"]
                assert each.get_dynamic_partitions("shrubs") == []
            for key in ("ash", "cedar"):
                instance.delete_dynamic_partition("trees", key)


@pytest.mark.usefixtures("home")
def test_an_event_survives_a_server_that_ends_its_connections(postgres: SecretStr) -> None:
    """A restarted Postgres costs no event: a dead connection is noticed before it is used."""
    with dg.DagsterInstance.get() as instance:
        instance.report_runless_asset_event(dg.AssetObservation(_ASH, partition="before"))
        other = PostgresEventLogStorage(
            storage_url(postgres.get_secret_value(), ProviderName.REPLICATE), False
        )
        with other.index_connection() as connection:
            connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE pid <> pg_backend_pid() AND datname LIKE 'ledger_%'"
                )
            )
        instance.report_runless_asset_event(dg.AssetObservation(_ASH, partition="after"))
        records = instance.fetch_observations(_ASH, limit=5).records
    assert {record.partition_key for record in records} == {"before", "after"}


@pytest.mark.usefixtures("home")
def test_secrets_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a traceback quotes of a token is not stored."""
    monkeypatch.setenv("REPLICATE_API_TOKEN", "r8_" + "x" * 37)
    with dg.DagsterInstance.get() as instance:
        entry = _entry("ASSET_OBSERVATION", _ASH, "p")._replace(user_message="r8_" + "x" * 37)
        instance.event_log_storage.store_event(entry)
        instance.event_log_storage.store_event_batch([entry])
        stored = instance.event_log_storage.get_logs_for_run("run-1")
    assert len(stored) == 2
    assert all("x" * 37 not in event.user_message for event in stored)


def test_providers_live_apart(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Partitions, runs and events of the sandbox and of real work know nothing of each other."""
    for provider, key in (("sandbox", "drawn"), ("replicate", "made"), ("sandbox", "too")):
        monkeypatch.setenv("ASSET_PIPELINE_PROVIDER", provider)
        with dg.DagsterInstance.from_config(str(home)) as instance:
            instance.add_dynamic_partitions("image_prompts", [key])
            instance.add_run(dg.DagsterRun(job_name="image_clips"))
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert instance.get_dynamic_partitions("image_prompts") == ["drawn", "too"]
        assert instance.get_runs_count() == 2
    monkeypatch.setenv("ASSET_PIPELINE_PROVIDER", "replicate")
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert instance.get_dynamic_partitions("image_prompts") == ["made"]


def test_many_may_come_first(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opens an empty database at the same instant, its schema is stamped once."""
    monkeypatch.setenv("ASSET_PIPELINE_PROVIDER", "sandbox")
    with ThreadPoolExecutor(4) as pool:
        opened = list(pool.map(lambda _: PostgresStorageByProvider(database), range(4)))
    log = opened[0].event_log_storage
    assert isinstance(log, BatchedPostgresEventLogStorage)
    with log.index_connection() as connection:
        stamps = connection.execute(text("SELECT version_num FROM alembic_version")).fetchall()
    assert len(stamps) == 1
    for storage in opened:
        storage.event_log_storage.dispose()


def test_processes_are_told_what_only_the_environment_can_tell(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backfill outlives its code server on Postgres as on SQLite."""
    retry = "DAGSTER_BACKFILL_RETRY_DEFINITION_CHANGED_ERROR"
    monkeypatch.delenv(retry, raising=False)
    with dg.DagsterInstance.from_config(str(home)):
        assert os.environ[retry]


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_any_spelling_names_the_driver_that_works(scheme: str) -> None:
    """Dagster's Postgres storage is opened with psycopg2, whatever the address says."""
    url = storage_url(f"{scheme}://me:p%40ss@db/dagster", ProviderName.REPLICATE)
    assert url == "postgresql+psycopg2://me:p%40ss@db/dagster"


@pytest.mark.parametrize("url", ["", "nonsense", "sqlite:///file", "mysql://me:secret@db/x"])
def test_another_database_is_refused_in_a_sentence(url: str) -> None:
    """The sentence names the variable and shows no password."""
    with pytest.raises(ConfigurationError) as caught:
        storage_url(url, ProviderName.REPLICATE)
    assert "DAGSTER_POSTGRES_URL" in caught.value.hint
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["postgres", "celery"])
def test_the_servers_files_are_the_shipped_one_but_for_what_they_are_for(name: str) -> None:
    """Whoever changes limits, retries or monitoring in one file is told of the others."""
    read: Callable[[Path], dict[str, Any]] = lambda path: yaml.safe_load(path.read_text())  # noqa: E731
    shipped = read(_ROOT / "dagster_home" / "dagster.yaml")
    deployed = read(_ROOT / "deploy" / f"dagster.{name}.yaml")
    for part in ("storage", "run_launcher"):
        shipped.pop(part, None)
        deployed.pop(part, None)
    assert deployed == shipped
