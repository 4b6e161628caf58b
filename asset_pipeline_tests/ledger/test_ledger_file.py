"""A ledger whose file is gone or another one while it is open takes nothing more."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, text

from asset_pipeline.ledger.engine import LedgerError, open_engine
from asset_pipeline.ledger.identity import HeldIdentity, IdentityRepository
from asset_pipeline_tests.conftest import NewLedger
from asset_pipeline_tests.support.clocks import FakeClock


@pytest.fixture
def engine(new_sqlite: NewLedger) -> Generator[Engine]:
    """An open ledger that something was written to."""
    opened = open_engine(new_sqlite())
    write(opened)
    yield opened
    opened.dispose()


def write(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE ledger_identity SET last_order = last_order + 1"))


def path_of(engine: Engine) -> Path:
    return Path(engine.url.database or "")


def _delete_all(path: Path) -> None:
    for each in path.parent.glob(f"{path.name}*"):
        each.unlink()


def _delete_log(path: Path) -> None:
    path.with_name(f"{path.name}-wal").unlink()


def _move(path: Path) -> None:
    path.rename(path.with_suffix(".old"))


def _replace(path: Path) -> None:
    shutil.copyfile(path, path.with_suffix(".copy"))
    path.with_suffix(".copy").replace(path)


def _truncate(path: Path) -> None:
    os.truncate(path, 0)


@pytest.mark.parametrize("harm", [_delete_all, _delete_log, _move, _replace, _truncate])
def test_what_became_of_the_file_stops_the_process(
    engine: Engine, harm: Callable[[Path], None]
) -> None:
    """Neither writing nor reading goes on, and the sentence says what happened."""
    harm(path_of(engine))
    with pytest.raises(LedgerError, match="while this process had the ledger open"):
        write(engine)
    with (
        pytest.raises(LedgerError),
        engine.connect().execution_options(reading=True) as connection,
    ):
        connection.execute(text("SELECT 1"))


def test_what_sqlite_does_by_itself_is_no_trouble(engine: Engine) -> None:
    """Checkpoints, other connections and processes that come and go."""
    for _ in range(3):
        other = open_engine_again(engine)
        write(other)
        with closing(sqlite3.connect(path_of(engine))) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        other.dispose()
        write(engine)
    engine.dispose()
    assert not path_of(engine).with_name(f"{path_of(engine).name}-wal").exists()
    write(engine)


def open_engine_again(engine: Engine) -> Engine:
    return open_engine(SecretStr(engine.url.render_as_string(hide_password=False)))


def test_another_ledger_in_its_place_is_noticed(new_ledger: NewLedger, clock: FakeClock) -> None:
    """Where no file tells, the ledger's own name does: on Postgres, and for a copy written over."""
    engine, held = open_engine(new_ledger()), HeldIdentity()
    with engine.begin() as connection:
        held.check(connection)
        held.check(connection)
        connection.execute(text("UPDATE ledger_identity SET ledger_id = 'another'"))
        with pytest.raises(LedgerError, match="Another ledger"):
            held.check(connection)
    assert IdentityRepository(engine, clock).identity().ledger_id == "another"
    engine.dispose()
