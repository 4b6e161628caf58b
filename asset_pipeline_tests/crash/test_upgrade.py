"""A ledger of the release before goes on in place: what it has paid for is not paid for again.

Real workers leave clips, balances and open intents behind. Then everything that its schema did not
have is taken out of the ledger, so that it stands as the earlier release would have left it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from pydantic import SecretStr
from sqlalchemy import create_engine

import asset_pipeline.ledger
from asset_pipeline.generation.reconciliation.resume import ResumeResult
from asset_pipeline.ledger.engine import HEAD_REVISION
from asset_pipeline.ledger.schema import OPEN_STATES
from asset_pipeline_tests.support.crash import worker_processes, workload
from asset_pipeline_tests.support.crash.bookkeeping import close_books
from asset_pipeline_tests.support.crash.site import Site, open_site
from asset_pipeline_tests.support.crash.worker import KillPoint
from asset_pipeline_tests.support.ledgers import database_file
from asset_pipeline_tests.support.resume import resume

EARLIER = "0005"
POINTS = ("reserved", "submitting", "accepted", "submitted", "charged")


def _ledger_of_the_earlier_release(folder: Path) -> sqlite3.Connection:
    """Make an empty one, to see what it has."""
    folder.mkdir()
    file = folder / "ledger.db"
    config = Config()
    home = Path(asset_pipeline.ledger.__file__).parent
    config.set_main_option("script_location", str(home / "migrations"))
    engine = create_engine(f"sqlite:///{file}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, EARLIER)
    engine.dispose()
    return sqlite3.connect(file)


def _tables(connection: sqlite3.Connection) -> dict[str, set[str]]:
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    return {
        name: {row[1] for row in connection.execute(f"PRAGMA table_info({name})")}
        for (name,) in names
        if not name.startswith("sqlite_")
    }


def _indexes(connection: sqlite3.Connection) -> dict[str, str]:
    rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index'")
    return {name: sql for name, sql in rows if sql is not None}


def set_back(file: Path, folder: Path) -> None:
    """Take out of a ledger what the earlier release did not have."""
    earlier = _ledger_of_the_earlier_release(folder)
    had, indexes = _tables(earlier), _indexes(earlier)
    earlier.close()
    ledger = sqlite3.connect(file, isolation_level=None)
    for (name,) in ledger.execute(
        "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    ).fetchall():
        ledger.execute(f"DROP TRIGGER {name}")
    for name, sql in _indexes(ledger).items():
        if indexes.get(name) != sql:
            ledger.execute(f"DROP INDEX {name}")
    for table, columns in _tables(ledger).items():
        if table not in had:
            ledger.execute(f"DROP TABLE {table}")
            continue
        for column in columns - had[table]:
            ledger.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
    for name in indexes.keys() - _indexes(ledger).keys():
        ledger.execute(indexes[name])
    # Where neither boot nor namespace is known, half a minute of silence is what tells of a death.
    ledger.execute("UPDATE workers SET heartbeat_at = datetime(heartbeat_at, '-1 minutes')")
    ledger.execute(f"UPDATE alembic_version SET version_num = '{EARLIER}'")
    assert _tables(ledger) == had
    ledger.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A server of its own: the earlier release's ledger belongs to one account."""
    with open_site(tmp_path / "site", predict="0.1") as site:
        yield site


def test_an_earlier_ledger_goes_on_and_pays_nothing_again(site: Site, tmp_path: Path) -> None:
    """Clips are cache hits, open intents are finished, balances hold, whatever state it was in."""
    landed = [workload.picture("landed", variants=2), workload.speech("landed")]
    assert worker_processes.run(site.job(landed)).exit_code == 0
    left = [workload.picture(f"left-{point}") for point in POINTS]
    for prompt, point in zip(left, POINTS, strict=True):
        assert worker_processes.run(site.job([prompt]), KillPoint(point)).killed
    posts = site.posts()
    file = Path(database_file(SecretStr(site.ledger_url)))
    set_back(file, tmp_path / "earlier")

    results = {each.intent.prompt_id: each.result for each in resume(site)}
    assert results == {
        "left-reserved": ResumeResult.RELEASED,
        "left-submitting": ResumeResult.RELEASED,
        "left-accepted": ResumeResult.DELIVERED,
        "left-submitted": ResumeResult.DELIVERED,
        "left-charged": ResumeResult.DELIVERED,
    }
    assert site.posts() == posts
    assert worker_processes.run(site.job([*landed, *left[2:]])).exit_code == 0
    assert site.posts() == posts, "nothing that was paid for is paid for again"
    assert close_books(site, [*landed, *left[2:]]).flaws == ()
    ledger = site.job(()).open_ledger()
    assert ledger.intents_in(OPEN_STATES) == []
    assert ledger.audit().mismatches == ()
    ledger.close()
    with sqlite3.connect(file) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == (
            HEAD_REVISION,
        )


def test_what_another_account_cannot_know_is_not_released(site: Site, tmp_path: Path) -> None:
    """An open intent that names no account, where nobody knows of it, is a question."""
    prompt = workload.picture("left")
    assert worker_processes.run(site.job([prompt]), KillPoint("submitting")).killed
    set_back(Path(database_file(SecretStr(site.ledger_url))), tmp_path / "earlier")
    (resumed,) = resume(site)
    assert resumed.result is ResumeResult.QUESTION
    assert "does not say which account" in resumed.reason
