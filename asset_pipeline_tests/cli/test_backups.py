"""`ledger backup` and `restore` with a bucket: a drill, from the copy back to what was paid."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from asset_pipeline.cli._backups import back_up, put_back
from asset_pipeline.errors import ConfigurationError
from asset_pipeline.ledger.clips import all_current
from asset_pipeline.settings import load_settings
from asset_pipeline_tests.cli.conftest import Done, Workspace
from asset_pipeline_tests.conftest import NewLedger
from asset_pipeline_tests.support.clocks import NOON
from asset_pipeline_tests.support.ledgers import Books
from asset_pipeline_tests.support.servers.fixtures import seaweed, seaweed_server
from asset_pipeline_tests.support.servers.seaweed import SeaweedFS

__all__ = ["seaweed", "seaweed_server"]

Cli = Callable[..., Done]


@pytest.mark.servers
def test_a_ledger_comes_back_from_a_bucket(
    clean_environment: Path,
    new_sqlite: NewLedger,
    seaweed: SeaweedFS,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The copy's name holds the time; put back, it is the ledger, and the other one is kept."""
    del clean_environment
    url = new_sqlite()
    monkeypatch.setenv("ASSET_PIPELINE_LEDGER_URL", url.get_secret_value())
    target = f"{seaweed.new_url()}/backups"
    books = Books(url)
    books.delivered("one")
    books.close()
    where, size = back_up(load_settings(), target, NOON)
    assert size > 0
    assert where.endswith(f"/backups/ledger-{NOON:%Y%m%dT%H%M%SZ}.db")
    later = Books(url)
    later.delivered("two")
    later.close()
    kept = put_back(load_settings(), where, NOON)
    assert kept is not None
    assert kept.exists()
    restored = Books(url)
    try:
        with restored.ledger.engine.connect() as connection:
            assert len(all_current(connection)) == 1
    finally:
        restored.close()
    with pytest.raises(ConfigurationError, match="no backup"):
        put_back(load_settings(), f"{target}/ledger-of-nobody.db", NOON)


@pytest.mark.parametrize(
    "target", ["s3://mine/clips", "s3://mine/clips/backups", "s3://mine/clips/"]
)
def test_backups_never_lie_among_clips(cli: Cli, workspace: Workspace, target: str) -> None:
    """A check of the store would take them for strays, and `--repair` might clear them away."""
    del workspace
    done = cli("ledger", "backup", target, env={"ASSET_PIPELINE_STORE_URL": "s3://mine/clips"})
    assert done.code == 2
    assert "where the clips are" in done.err
