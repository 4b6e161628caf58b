from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from asset_pipeline.errors import ExitCode
from asset_pipeline.warehouse.query import WarehouseError, query
from asset_pipeline_tests.warehouse.test_publish import published


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published empty ledger."""
    return published(tmp_path_factory.mktemp("ledger"))


def test_columns_and_rows(path: Path) -> None:
    """The names of the columns come with the rows; of several statements, the last one's."""
    assert query(path, "SELECT 1; SELECT 2 AS two, 'x' AS x") == (["two", "x"], [(2, "x")])


@pytest.mark.parametrize("sql", ["", "  ", "-- nothing", ";"])
def test_no_statement(path: Path, sql: str) -> None:
    """No statement has no result, and is no crash."""
    assert query(path, sql) == ([], [])


@pytest.mark.parametrize(
    "sql",
    [
        "FROM read_csv('/etc/passwd')",
        "FROM read_text('/etc/hostname')",
        "FROM glob('/etc/*')",
        "FROM 'http://127.0.0.1:1/x.parquet'",
        "COPY clips TO '{folder}/out.csv'",
        "COPY (SELECT 1) TO '/dev/stdout'",
        "EXPORT DATABASE '{folder}/out'",
        "ATTACH '{folder}/out.duckdb' AS other",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SET python_enable_replacements = true",
        "SET temp_directory = '{folder}/out'",
        "INSERT INTO prompts SELECT * FROM prompts",
        "CREATE TABLE mine AS SELECT 1",
        "DROP VIEW failures",
        "FROM local_rows",
        "FROM nonexistent",
        "SELEC 1",
    ],
)
def test_no_way_out(path: Path, tmp_path: Path, sql: str) -> None:
    """SQL reaches no file, no network, no variable and no setting, and changes nothing."""
    local_rows = duckdb.sql("SELECT 'a variable of this process' AS secret").df()
    assert len(local_rows) == 1
    with pytest.raises(WarehouseError, match="query failed") as caught:
        query(path, sql.format(folder=tmp_path))
    assert caught.value.exit_code is ExitCode.BAD_INPUT
    assert list(tmp_path.iterdir()) == []


def test_missing_file(tmp_path: Path) -> None:
    """A warehouse that was never published is a sentence that says how to get one."""
    with pytest.raises(WarehouseError, match=r"no published warehouse .*generate"):
        query(tmp_path / "warehouse.duckdb", "SELECT 1")
    assert list(tmp_path.iterdir()) == []


def test_file_of_another_kind(tmp_path: Path) -> None:
    """A file that DuckDB cannot read is a sentence."""
    (tmp_path / "w.duckdb").write_bytes(b"no database" * 1000)
    with pytest.raises(WarehouseError, match="unreadable"):
        query(tmp_path / "w.duckdb", "SELECT 1")


def test_busy_file(tmp_path: Path) -> None:
    """A file that another program has open for writing is a sentence that says what to close."""
    path = published(tmp_path)
    holder = f"""
import duckdb, sys
with duckdb.connect({str(path)!r}):
    print("open", flush=True)
    sys.stdin.readline()
"""
    with subprocess.Popen(
        [sys.executable, "-c", holder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        with pytest.raises(WarehouseError, match=r"open for writing elsewhere.*read-only"):
            query(path, "SELECT 1")
        process.communicate("\n")
    assert query(path, "SELECT 1")[1] == [(1,)]
