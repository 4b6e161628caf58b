"""`instance repair`: after one of ledger, store and instance was restored, they agree again."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable

import pytest

from asset_pipeline_tests.cli.conftest import Done, Sandbox, Workspace

Cli = Callable[..., Done]


@pytest.mark.slow
def test_a_drill_ends_in_agreement(cli: Cli, workspace: Workspace, sandbox: Sandbox) -> None:
    """A lost instance shows again what is paid for; an older ledger takes back what it lacks.

    Nothing is paid for by either, and a second repair finds nothing to do.
    """
    workspace.environment["REPLICATE_BASE_URL"] = sandbox.url
    first = cli("generate", "--prompt", "red-house", "--json")
    assert first.code == 0, first.err
    backup = cli("ledger", "backup", str(workspace.root / "copy.db"))
    assert backup.code == 0, backup.err
    assert cli("generate", "--all").code == 0
    paid = sandbox.bill()["accepted"]

    # The instance is lost: Dagster knows of no clip.
    shutil.rmtree(workspace.root / "dagster_home")
    planned = cli("instance", "repair", "--dry-run", "--json")
    assert len(planned.json["shown"]) == 3
    repaired = cli("instance", "repair", "--json")
    assert repaired.code == 0, repaired.err
    assert sorted(repaired.json["shown"]) == sorted(planned.json["shown"])
    assert repaired.json["taken_back"] == []

    # The ledger is an older one: it knows one of the three.
    restored = cli("ledger", "restore", str(workspace.root / "copy.db"))
    assert restored.code == 0, restored.err
    repaired = cli("instance", "repair", "--json")
    assert repaired.code == 0, repaired.err
    assert len(repaired.json["taken_back"]) == 2
    assert repaired.json["shown"] == []
    again = cli("instance", "repair", "--json").json
    assert (again["shown"], again["taken_back"], again["not_shown"]) == ([], [], [])
    assert sandbox.bill()["accepted"] == paid, "nothing was paid for"
    with sqlite3.connect(workspace.root / "data" / "ledger.sandbox.db") as ledger:
        (clips,) = ledger.execute("SELECT count(*) FROM clips").fetchone()
    assert clips == 1
