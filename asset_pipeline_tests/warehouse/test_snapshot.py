from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

from asset_pipeline.clock import SystemClock
from asset_pipeline.ledger.engine import open_engine
from asset_pipeline.warehouse.publish import publish
from asset_pipeline.warehouse.query import query
from asset_pipeline_tests.support import ledger_rows
from asset_pipeline_tests.support.postgres import new_database, running_postgres


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Engine]:
    """An empty ledger in each database that it may live in."""
    if request.param == "sqlite":
        yield ledger_rows.new_ledger(tmp_path)
        return
    with running_postgres() as server:
        opened = open_engine(new_database(server))
        yield opened
        opened.dispose()


def test_all_tables_show_one_instant(engine: Engine, tmp_path: Path) -> None:
    """A payment made while tables are being read is in all of them or in none."""
    ledger_rows.fill(engine, [ledger_rows.budget("total"), ledger_rows.intent("before")])
    paid = False

    def pay(*arguments: object) -> None:
        nonlocal paid
        if not paid and "FROM entries" in str(arguments[2]):
            paid = True
            ledger_rows.fill(engine, [ledger_rows.intent("during"), ledger_rows.entry("total", 1)])

    event.listen(engine, "before_cursor_execute", pay)
    publish(engine, [], tmp_path / "w.duckdb", clock=SystemClock())
    event.remove(engine, "before_cursor_execute", pay)
    assert paid
    assert query(tmp_path / "w.duckdb", "SELECT intent_id FROM predictions")[1] == [("before",)]
    assert query(tmp_path / "w.duckdb", "SELECT count(*) FROM ledger_entries")[1] == [(0,)]
    publish(engine, [], tmp_path / "w.duckdb", clock=SystemClock())
    assert query(tmp_path / "w.duckdb", "SELECT count(*) FROM ledger_entries")[1] == [(1,)]
