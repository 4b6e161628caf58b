"""Opening the ledger: migrated once by whoever comes first, and every trouble is a sentence."""

from __future__ import annotations

import multiprocessing
import sqlite3
import threading
import time
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from pydantic import SecretStr
from sqlalchemy import CheckConstraint, create_engine, event, inspect, select, text
from sqlalchemy.engine import make_url

import asset_pipeline.ledger.llm_schema
import asset_pipeline.ledger.provenance_schema
import asset_pipeline.ledger.rendition_schema
import asset_pipeline.ledger.service_schema  # noqa: F401 -- their tables are compared too
from asset_pipeline.errors import AssetPipelineError, ConfigurationError
from asset_pipeline.ledger import engine as engine_module
from asset_pipeline.ledger.column_types import metadata
from asset_pipeline.ledger.engine import HEAD_REVISION, LedgerError, ensure_schema, open_engine
from asset_pipeline.ledger.schema import intents
from asset_pipeline_tests.conftest import NewLedger
from asset_pipeline_tests.support.ledger_invariants import violations
from asset_pipeline_tests.support.ledgers import PRICE, Books, database_file, locked
from asset_pipeline_tests.support.postgres import new_database

FORK = multiprocessing.get_context("fork")


@pytest.fixture(params=["sqlite", "postgres"])
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> SecretStr:
    """A database without a single table."""
    if request.param == "sqlite":
        return SecretStr(f"sqlite:///{tmp_path / 'new' / 'ledger.db'}")
    return new_database(request.getfixturevalue("postgres"))


def _open(url: SecretStr, failures: object) -> None:
    try:
        engine = open_engine(url)
        with engine.connect() as connection:
            connection.execute(select(intents)).all()
    except BaseException as error:
        failures.put(repr(error))  # type: ignore[attr-defined]
        raise


def test_many_processes_open_a_new_ledger_at_once(empty_database: SecretStr) -> None:
    """One migrates, the others wait; nobody fails and nothing is made twice."""
    failures = FORK.Queue()
    openers = [FORK.Process(target=_open, args=(empty_database, failures)) for _ in range(6)]
    for opener in openers:
        opener.start()
    for opener in openers:
        opener.join(60)
    assert [opener.exitcode for opener in openers] == [0] * 6, failures.get(timeout=1)
    engine = open_engine(empty_database)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).all() == [
            (HEAD_REVISION,)
        ]
    engine.dispose()


def test_the_migrations_make_the_schema_that_the_code_knows(new_ledger: NewLedger) -> None:
    """Tables, columns, indexes, foreign keys and checks: migrations and code say the same."""
    engine = open_engine(new_ledger())
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        inspector = inspect(connection)
        for table in metadata.sorted_tables:
            known = {
                str(constraint.name)
                for constraint in table.constraints
                if isinstance(constraint, CheckConstraint)
            }
            made = {str(row["name"]) for row in inspector.get_check_constraints(table.name)}
            assert made == known, table.name
            indexes = {
                row["name"]: bool(row["unique"]) for row in inspector.get_indexes(table.name)
            }
            for index in table.indexes:
                assert indexes[index.name] == index.unique
    engine.dispose()


def test_the_newest_migration_is_the_one_that_the_code_asks_for() -> None:
    """The constant that saves importing Alembic names the newest migration."""
    config = Config()
    folder = Path(engine_module.__file__).parent / "migrations"
    config.set_main_option("script_location", str(folder))
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD_REVISION


def test_opening_again_changes_nothing(new_ledger: NewLedger) -> None:
    """A ledger at its head is opened without a migration and keeps what is in it."""
    url = new_ledger()
    books = Books(url)
    intent = books.reserve()
    books.close()
    again = Books(url)
    assert again.ledger.find(intent.generation_hash) == intent
    ensure_schema(again.ledger.engine)
    again.close()


def test_a_ledger_of_a_newer_release_is_left_alone(new_ledger: NewLedger) -> None:
    """An older release says so instead of writing into what it does not understand."""
    url = new_ledger()
    engine = open_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(LedgerError, match=r"9999.*newer release"):
        open_engine(url)


def test_sqlite_is_opened_so_that_an_intent_survives_a_power_cut(new_sqlite: NewLedger) -> None:
    """Write-ahead log, full sync, foreign keys: on every connection, and writes begin at once."""
    engine = open_engine(new_sqlite())
    with engine.connect() as one, engine.connect().execution_options(reading=True) as two:
        for connection in (one, two):
            for pragma, value in (("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)):
                assert connection.execute(text(f"PRAGMA {pragma}")).scalar() == value
    engine.dispose()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nonsense", "not a database URL"),
        ("", "not a database URL"),
        ("postgresql://u:secret@host:port/x", "not a database URL"),
        ("mysql://u:secret@host/x", "mysql is not supported"),
        ("postgres://u:secret@host/x", "postgres is not supported"),
    ],
)
def test_an_unusable_url_is_a_sentence(url: str, words: str) -> None:
    """A wrong setting names the variable and never shows the password."""
    with pytest.raises(ConfigurationError, match=words) as caught:
        open_engine(SecretStr(url))
    assert "ASSET_PIPELINE_LEDGER_URL" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_file_or_folder_that_is_no_ledger_is_a_sentence(tmp_path: Path) -> None:
    """A text file, a folder, a path below a file: what is wrong and where, no traceback."""
    (tmp_path / "text.db").write_text("this is no database, and long enough to be one " * 50)
    (tmp_path / "folder.db").mkdir()
    for name in ("text.db", "folder.db", "text.db/below/ledger.db"):
        with pytest.raises(LedgerError) as caught:
            open_engine(SecretStr(f"sqlite:///{tmp_path / name}"))
        assert str(tmp_path) in str(caught.value)
        assert caught.value.hint


def test_a_server_that_is_not_there_is_a_sentence() -> None:
    """Postgres down: the address without its password, and what to check."""
    with pytest.raises(LedgerError) as caught:
        open_engine(SecretStr("postgresql://u:hunter2@127.0.0.1:9/x"))
    assert "127.0.0.1" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_busy_sqlite_file_is_waited_for(new_sqlite: NewLedger) -> None:
    """A writer that holds the file for a moment delays the next one and fails nobody."""
    url = new_sqlite()
    books = Books(url)
    other = sqlite3.connect(database_file(url), isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    letting_go = threading.Timer(0.3, lambda: other.execute("COMMIT"))
    letting_go.start()
    started = time.monotonic()
    books.reserve()
    assert time.monotonic() - started > 0.2
    letting_go.join()
    other.close()
    books.close()


def test_a_ledger_that_another_process_is_just_making_is_waited_for(tmp_path: Path) -> None:
    """The switch to WAL waits too, which SQLite's busy timeout does not cover by itself."""
    file = tmp_path / "ledger.db"
    other = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    letting_go = threading.Timer(0.3, lambda: other.execute("COMMIT"))
    letting_go.start()
    engine = open_engine(SecretStr(f"sqlite:///{file}"))
    letting_go.join()
    assert inspect(engine).has_table("intents")
    engine.dispose()
    other.close()


def test_readers_do_not_wait_for_a_writer(new_sqlite: NewLedger) -> None:
    """While somebody writes, what was committed can be read at once."""
    url = new_sqlite()
    books = Books(url)
    intent = books.reserve()
    with locked(url):
        started = time.monotonic()
        assert books.ledger.find(intent.generation_hash) == intent
        assert books.balance()[2] == PRICE
        assert time.monotonic() - started < 1
    books.close()


def test_a_file_that_stays_busy_is_a_sentence(
    new_sqlite: NewLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock that nobody gives up ends in an error for people, and nothing is written."""
    monkeypatch.setattr(engine_module, "_BUSY_SECONDS", 0)
    url = new_sqlite()
    books = Books(url)
    with locked(url), pytest.raises(LedgerError, match="locked") as caught:
        books.reserve()
    assert isinstance(caught.value, AssetPipelineError)
    assert "not paid again" in caught.value.hint
    assert books.ledger.balances() == []
    books.close()


def test_a_full_disk_is_a_sentence_and_breaks_nothing(new_sqlite: NewLedger) -> None:
    """No room: the step is refused whole, and goes through when there is room again."""
    books = Books(new_sqlite())
    engine = books.ledger.engine

    def fill(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA max_page_count = 1")

    event.listen(engine, "connect", fill)
    engine.dispose()
    with pytest.raises(LedgerError, match="full"):
        books.reserve(prompt_text="x" * 200_000)
    event.remove(engine, "connect", fill)
    engine.dispose()
    assert violations(engine) == []
    books.reserve("later")
    books.close()


def test_a_broken_connection_to_postgres_is_replaced(new_postgres: NewLedger) -> None:
    """A server that was restarted between two steps costs nothing; in a step, a sentence."""
    url = new_postgres()
    books = Books(url)
    books.reserve("a")
    admin = create_engine(
        make_url(url.get_secret_value()).set(drivername="postgresql+psycopg"),
        isolation_level="AUTOCOMMIT",
    )
    kill = text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with admin.connect() as connection:
        connection.execute(kill)
        books.reserve("b")

        def cut(*_: object) -> None:
            connection.execute(kill)

        event.listen(books.ledger.engine, "before_cursor_execute", cut)
        with pytest.raises(LedgerError, match="can't be used"):
            books.reserve("c")
        event.remove(books.ledger.engine, "before_cursor_execute", cut)
    admin.dispose()
    books.reserve("c")
    assert violations(books.ledger.engine) == []
    assert books.balance()[2] == 3 * PRICE
    books.close()
