from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.event_log import SqliteEventLogStorage

from asset_pipeline.resources.event_log import PooledSqliteEventLogStorage

ROOT = Path(__file__).parent.parent.parent
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
