"""The Dagster instance's folder: made once, by whoever comes first, and one storage a provider."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.utils import make_new_run_id
from pydantic import SecretStr

from asset_pipeline.defs.instance.access import open_instance
from asset_pipeline.defs.instance.folder import (
    InstanceBrokenError,
    flaws,
    mend,
    storage_folder,
)
from asset_pipeline_tests.support.ledgers import Books

_ROOT = Path(__file__).parents[3]
_SHIPPED = _ROOT / "dagster_home" / "dagster.yaml"
_PROCESSES = 4

_EARLIER_ROOM = "asset_pipeline" + ".resources"
_EARLIER_CONFIG = f"""\
telemetry: {{enabled: false}}
event_log_storage:
  module: {_EARLIER_ROOM}.event_log
  class: PooledSqliteEventLogStorage
  config: {{home: {{env: DAGSTER_HOME}}}}
"""
_WRITTEN_EARLIER = f"""\
# Written by asset-pipeline because there was none; yours to change.
telemetry: {{enabled: false}}
nux: {{enabled: false}}
run_retries: {{enabled: true, max_retries: 2, retry_on_asset_or_op_failure: false}}
storage:
  custom:
    module: {_EARLIER_ROOM}.instance_storage
    class: SqliteStorageByProvider
    config: {{home: {{env: DAGSTER_HOME}}}}
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the shipped dagster.yaml, and a data folder beside it."""
    folder = tmp_path / "home"
    folder.mkdir()
    shutil.copy(_SHIPPED, folder)
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    monkeypatch.setenv("ASSET_PIPELINE_DATA_DIR", str(tmp_path / "data"))
    return folder


@pytest.fixture
def work_as(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Choose the provider in use."""
    return lambda provider: monkeypatch.setenv("ASSET_PIPELINE_PROVIDER", provider)


def _open_together(homes: list[Path], turn: Barrier, failed: Queue[str]) -> None:
    for home in homes:
        os.environ["DAGSTER_HOME"] = str(home)
        turn.wait()
        try:
            with open_instance() as instance:
                instance.get_runs_count()
                instance.get_dynamic_partitions("image_prompts")
                instance.all_instigator_state()
        except Exception as error:  # noqa: BLE001 -- whatever it is, the test tells it
            failed.put(f"{home.name}: {type(error).__name__}: {error}")


@pytest.mark.slow
@pytest.mark.servers
@pytest.mark.parametrize(
    ("config", "count"), [("", 10), (_EARLIER_CONFIG, 3)], ids=["none yet", "an earlier release's"]
)
def test_many_processes_may_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: str, count: int
) -> None:
    """Whoever opens empty folders at the same instant, every one of them opens, then and later."""
    monkeypatch.setenv("ASSET_PIPELINE_DATA_DIR", str(tmp_path / "data"))
    homes = [tmp_path / f"home-{number}" for number in range(count)]
    for home in homes if config else []:
        home.mkdir()
        (home / "dagster.yaml").write_text(config)
    context = multiprocessing.get_context("spawn")
    turn, failed = context.Barrier(_PROCESSES), context.Queue()
    processes = [
        context.Process(target=_open_together, args=(homes, turn, failed))
        for _ in range(_PROCESSES)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=120)
    assert [process.exitcode for process in processes] == [0] * _PROCESSES
    assert failed.empty(), failed.get()
    for home in homes:
        assert not flaws(home)
        monkeypatch.setenv("DAGSTER_HOME", str(home))
        with open_instance() as instance:
            assert instance.get_runs_count() == 0


@pytest.mark.servers
def test_dagster_itself_may_come_first(home: Path) -> None:
    """Dagster's own processes and ours make one and the same storage between them."""
    ours = (
        "from asset_pipeline.defs.instance.access import open_instance\nwith open_instance(): pass"
    )
    theirs = "from dagster import DagsterInstance\nwith DagsterInstance.get(): pass"
    processes = [
        subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
        for code in (ours, theirs, theirs)
    ]
    ends = [(process.communicate(timeout=60)[1], process.returncode) for process in processes]
    assert [code for _, code in ends] == [0, 0, 0], ends
    assert not flaws(storage_folder(home))


def _stamp_twice(database: Path, stamp: str) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute("INSERT INTO alembic_version VALUES (?)", (stamp,))


def test_a_folder_that_is_stamped_twice_is_mended(home: Path) -> None:
    """What two processes of an earlier release left behind is told, and taken back by opening."""
    with open_instance() as instance:
        instance.add_dynamic_partitions("image_prompts", ["kept"])
    folder = storage_folder(home)
    for name in ("history/runs.db", "history/runs/index.db", "schedules/schedules.db"):
        _stamp_twice(folder / name, "7f2b1a4ca7a5")
    assert len(flaws(folder)) == 3
    assert "stamped twice" in flaws(folder)[0].message
    with open_instance() as instance:
        assert instance.get_dynamic_partitions("image_prompts") == ["kept"]
    assert not flaws(folder)


def test_a_stamp_of_nobody_is_left_to_a_person(home: Path) -> None:
    """A database that none of its makers can have written so is named, with what to do."""
    with open_instance():
        pass
    folder = storage_folder(home)
    runs = folder / "history" / "runs.db"
    with sqlite3.connect(runs) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'one'")
    _stamp_twice(runs, "two")
    with pytest.raises(InstanceBrokenError, match="stamped one, two"):
        mend(folder)
    (flaw,) = flaws(folder)
    assert "move the file away" in flaw.hint
    shutil.copy(_SHIPPED, runs)
    assert "can't be opened" in flaws(folder)[0].message


def test_providers_live_apart(home: Path, work_as: Callable[[str], None]) -> None:
    """Partitions, runs and cursors of the sandbox and of real work know nothing of each other."""
    for provider, key in (("sandbox", "drawn"), ("replicate", "made"), ("sandbox", "drawn too")):
        work_as(provider)
        with dg.DagsterInstance.get() as instance:
            instance.add_dynamic_partitions("image_prompts", [key])
            instance.add_run(dg.DagsterRun(job_name="image_clips", run_id=make_new_run_id()))
            instance.daemon_cursor_storage.set_cursor_values({"cursor": key})
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert instance.get_dynamic_partitions("image_prompts") == ["drawn", "drawn too"]
        assert instance.get_runs_count() == 2
        assert instance.daemon_cursor_storage.get_cursor_values({"cursor"}) == {
            "cursor": "drawn too"
        }
    work_as("replicate")
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert instance.get_dynamic_partitions("image_prompts") == ["made"]
        assert instance.get_runs_count() == 1


def test_an_earlier_file_keeps_partitions_apart(home: Path, work_as: Callable[[str], None]) -> None:
    """A dagster.yaml that names the event log alone has two of them all the same."""
    (home / "dagster.yaml").write_text(_EARLIER_CONFIG)
    for provider in ("replicate", "sandbox"):
        work_as(provider)
        with dg.DagsterInstance.get() as instance:
            instance.add_dynamic_partitions("image_prompts", [provider])
            assert instance.get_dynamic_partitions("image_prompts") == [provider]


def test_a_file_of_an_earlier_release_goes_on(home: Path) -> None:
    """The storage is the same under the module's former name; what we wrote names the new one."""
    config = home / "dagster.yaml"
    config.write_text(_WRITTEN_EARLIER.replace("nux: {enabled: false}\n", ""))
    with open_instance() as instance:
        instance.add_dynamic_partitions("image_prompts", ["made"])
    assert _EARLIER_ROOM in config.read_text()
    config.write_text(_WRITTEN_EARLIER)
    with open_instance() as instance:
        assert instance.get_dynamic_partitions("image_prompts") == ["made"]
    assert _EARLIER_ROOM not in config.read_text()


def _use(ledger: Path) -> None:
    books = Books(SecretStr(f"sqlite:///{ledger}"))
    books.reserve()
    books.ledger.close()


@pytest.mark.parametrize(
    ("ledgers", "provider", "keeps"),
    [
        (["ledger.sandbox.db"], "sandbox", True),
        (["ledger.sandbox.db"], "replicate", False),
        (["ledger.db"], "replicate", True),
        (["ledger.db", "ledger.sandbox.db"], "replicate", True),
        (["ledger.db", "ledger.sandbox.db"], "sandbox", False),
        ([], "replicate", True),
    ],
)
def test_a_shared_folder_stays_with_whom_it_was(
    home: Path,
    tmp_path: Path,
    work_as: Callable[[str], None],
    ledgers: list[str],
    provider: str,
    *,
    keeps: bool,
) -> None:
    """What an earlier release wrote is his whose ledger alone shows work; else it is real work's.

    It stays so whatever the ledgers become.
    """
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    work_as("replicate")
    with dg.DagsterInstance.from_config(str(home)) as stock:
        stock.add_dynamic_partitions("image_prompts", ["before"])
    for name in ledgers:
        _use(tmp_path / "data" / name)
    shutil.copy(_SHIPPED, home)
    work_as(provider)
    for _ in range(2):
        with dg.DagsterInstance.get() as instance:
            assert instance.has_dynamic_partition("image_prompts", "before") is keeps
        _use(tmp_path / "data" / "ledger.db")
