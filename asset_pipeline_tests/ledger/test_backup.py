"""Backups are whole while others write, and a restore loses nothing that it replaces."""

from __future__ import annotations

import multiprocessing
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy.engine import make_url

from asset_pipeline.errors import ConfigurationError
from asset_pipeline.ledger.backup import backup, restore
from asset_pipeline.ledger.engine import LedgerError
from asset_pipeline_tests.conftest import NewLedger
from asset_pipeline_tests.support.clocks import NOON
from asset_pipeline_tests.support.ledgers import PRICE, Books, stored_file

_WRITERS = 2


def _path(url: SecretStr) -> Path:
    return Path(make_url(url.get_secret_value()).database or "")


def _url(path: Path) -> SecretStr:
    return SecretStr(f"sqlite:///{path}")


def _deliver(books: Books, name: str) -> None:
    intent = books.completed(name)
    books.ledger.deliver(intent, stored_file(name), [])


def _write(url: str, stop_file: str, writer: int) -> None:
    """What a writing process does: pay without a pause until it is told to stop."""
    books = Books(SecretStr(url))
    number = 0
    while not Path(stop_file).exists():
        number += 1
        _deliver(books, f"{writer}-{number}")
    books.close()


@pytest.mark.servers
def test_a_backup_is_whole_while_two_processes_write(new_sqlite: NewLedger, tmp_path: Path) -> None:
    """It ends though the writers never do, and what is restored from it passes the audit."""
    url, stop_file = new_sqlite(), tmp_path / "stop"
    books = Books(url)
    with books.ledger.engine.begin() as connection:
        # Large enough that a copy in small steps would meet a commit between two of them.
        connection.exec_driver_sql("CREATE TABLE ballast (bytes BLOB)")
        connection.exec_driver_sql("INSERT INTO ballast VALUES (randomblob(40000000))")
    spawn = multiprocessing.get_context("spawn")
    arguments = (url.get_secret_value(), str(stop_file))
    writers = [
        spawn.Process(target=_write, args=(*arguments, n), daemon=True) for n in range(_WRITERS)
    ]
    for writer in writers:
        writer.start()
    while books.ledger.audit().clips < 20:
        time.sleep(0.05)
    copies = [tmp_path / "copies" / f"{number}.db" for number in range(3)]
    before = books.ledger.audit().clips
    for copy in copies:
        assert backup(url, copy) == copy.stat().st_size
    after = books.ledger.audit().clips
    stop_file.touch()
    for writer in writers:
        writer.join(30)
        assert writer.exitcode == 0
    assert after > before, "nobody wrote meanwhile: the test would prove nothing"
    for copy in copies:
        restored = tmp_path / "restored" / copy.name
        assert restore(_url(restored), copy, now=NOON) is None
        again = Books(_url(restored))
        report = again.ledger.audit()
        assert report.mismatches == ()
        assert before <= report.clips <= after
        again.close()
    books.close()
    assert sorted((tmp_path / "copies").iterdir()) == copies, "nothing else is left there"


def test_a_restore_keeps_what_it_replaces(new_sqlite: NewLedger, tmp_path: Path) -> None:
    """The backup's moment is back, and the former ledger is a whole file beside it."""
    url = new_sqlite()
    books = Books(url)
    _deliver(books, "first")
    books.close()
    backup(url, tmp_path / "monday.db")
    books = Books(url)
    _deliver(books, "second")
    books.close()
    kept = restore(url, tmp_path / "monday.db", now=NOON)
    assert kept == _path(url).with_name(f"{_path(url).name}.before-20261121T120000Z")
    for found, charged in ((url, PRICE), (_url(kept), 2 * PRICE)):
        again = Books(found)
        assert again.balance() == (100_000_000, charged, 0)
        assert again.ledger.audit().mismatches == ()
        again.close()


def test_a_ledger_in_use_is_not_replaced(new_sqlite: NewLedger, tmp_path: Path) -> None:
    """Another process that merely has it open stops a restore, and nothing has changed."""
    url = new_sqlite()
    backup(url, tmp_path / "empty.db")
    books = Books(url)
    _deliver(books, "later")
    books.close()
    idle = (
        "import sqlite3, sys\n"
        f"connection = sqlite3.connect({str(_path(url))!r})\n"
        "connection.execute('SELECT count(*) FROM intents').fetchone()\n"
        "print('open', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", idle], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(LedgerError, match="is in use"):
            restore(url, tmp_path / "empty.db", now=NOON)
        process.communicate()
    assert not list(tmp_path.glob("*.before-*"))
    books = Books(url)
    assert books.balance() == (100_000_000, PRICE, 0)
    books.close()


def test_a_damaged_ledger_can_be_restored(new_sqlite: NewLedger, tmp_path: Path) -> None:
    """What is no database any more is moved aside, whatever is left of it."""
    url = new_sqlite()
    backup(url, tmp_path / "good.db")
    _path(url).write_bytes(b"a disk has died here" * 1000)
    kept = restore(url, tmp_path / "good.db", now=NOON)
    assert kept is not None
    assert kept.read_bytes().startswith(b"a disk has died")
    books = Books(url)
    assert books.ledger.audit().mismatches == ()
    books.close()


def test_a_backup_that_is_none_replaces_nothing(new_sqlite: NewLedger, tmp_path: Path) -> None:
    """Missing, foreign, damaged and newer files, and the ledger itself, are refused by name."""
    url = new_sqlite()
    before = _path(url).read_bytes()
    good = tmp_path / "good.db"
    backup(url, good)
    half = tmp_path / "half.db"
    half.write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    foreign = tmp_path / "foreign.db"
    sqlite3.connect(foreign).execute("CREATE TABLE t (c)").connection.close()
    newer = tmp_path / "newer.db"
    newer.write_bytes(good.read_bytes())
    connection = sqlite3.connect(newer)
    with connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    for source, reason in (
        (tmp_path / "none.db", "no backup"),
        (half, r"half\.db is"),
        (foreign, "is not a ledger"),
        (newer, "newer release"),
        (_path(url), "the ledger itself"),
    ):
        with pytest.raises(LedgerError, match=reason):
            restore(url, source, now=NOON)
    assert _path(url).read_bytes() == before


def test_no_backup_overwrites_a_file(new_sqlite: NewLedger, tmp_path: Path) -> None:
    """A target that exists is refused, and so is a ledger that was never made."""
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(LedgerError, match="exists already"):
        backup(new_sqlite(), tmp_path / "notes.txt")
    with pytest.raises(LedgerError, match="There is no ledger"):
        backup(_url(tmp_path / "never.db"), tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()


def test_a_path_may_hold_any_character(new_sqlite: NewLedger, tmp_path: Path) -> None:
    """Hashes, spaces and question marks are part of a name, not of an address."""
    odd = tmp_path / "r #1 50%"
    odd.mkdir()
    ledger = odd / "ledger.db"
    ledger.write_bytes(_path(new_sqlite()).read_bytes())
    backup(_url(ledger), odd / "copy?.db")
    restore(_url(ledger), odd / "copy?.db", now=NOON)
    found = {path.name for path in odd.iterdir()}
    assert found >= {"ledger.db", "copy?.db", "ledger.db.before-20261121T120000Z"}


def test_postgres_has_tools_of_its_own(tmp_path: Path) -> None:
    """The refusal names them."""
    url = SecretStr("postgresql://user:secret@localhost/ledger")
    for command in (
        lambda: backup(url, tmp_path / "copy.db"),
        lambda: restore(url, tmp_path / "copy.db", now=NOON),
    ):
        with pytest.raises(ConfigurationError, match="pg_dump") as refusal:
            command()
        assert "secret" not in str(refusal.value)
