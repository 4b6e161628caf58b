"""`ledger upgrade|backup|restore`: the copy is whole, the former ledger is kept, errors speak."""

from __future__ import annotations

from collections.abc import Callable

from asset_pipeline_tests.cli.conftest import Done, Sandbox, Workspace

Cli = Callable[..., Done]


def _charged(cli: Cli) -> str:
    budgets = cli("status", "--json").json["budgets"]
    return next((one["charged_usd"] for one in budgets if one["budget"] == "total"), "nothing")


def test_upgrade_says_what_it_did(cli: Cli, workspace: Workspace) -> None:
    """A ledger is created once and is the newest from then on."""
    first, second = cli("ledger", "upgrade"), cli("ledger", "upgrade")
    assert (first.code, second.code) == (0, 0)
    assert "was created at revision" in first.out
    assert "the newest" in second.out
    assert (workspace.root / "data" / "ledger.sandbox.db").is_file()


def test_a_backup_comes_back(cli: Cli, sandbox: Sandbox, workspace: Workspace) -> None:
    """The restored ledger passes the audit and the one that it replaced is kept."""
    env = {"REPLICATE_BASE_URL": sandbox.url}
    assert cli("generate", "--prompt", "red-house", env=env).code == 0
    done = cli("ledger", "backup", "monday.db")
    assert (done.code, "verified" in done.out) == (0, True)
    assert cli("generate", "--prompt", "blue-boat", env=env).code == 0
    assert _charged(cli) == "0.009000"
    done = cli("ledger", "restore", "monday.db")
    assert done.code == 0, done.err
    assert "audit --orphans" in done.out
    assert _charged(cli) == "0.003000"
    assert cli("audit", "--offline").code == 0
    assert len(list((workspace.root / "data").glob("ledger.sandbox.db.before-*"))) == 1


def test_mistakes_are_sentences(cli: Cli, workspace: Workspace) -> None:
    """A target that exists, a backup that is none: exit code 2, and the ledger as it was."""
    assert cli("ledger", "upgrade").code == 0
    before = (workspace.root / "data" / "ledger.sandbox.db").read_bytes()
    (workspace.root / "notes.txt").write_text("mine")
    for command, said in (("backup", "exists already"), ("restore", "is not a ledger")):
        done = cli("ledger", command, "notes.txt")
        assert (done.code, said in done.err) == (2, True), done.err
    assert (workspace.root / "notes.txt").read_text() == "mine"
    assert (workspace.root / "data" / "ledger.sandbox.db").read_bytes() == before


def test_postgres_is_pointed_to_its_own_tools(cli: Cli) -> None:
    """pg_dump and pg_restore by name, and no password in the sentence."""
    env = {"ASSET_PIPELINE_LEDGER_URL": "postgresql://me:secret@localhost/ledger"}
    done = cli("ledger", "backup", "copy.db", env=env)
    assert (done.code, "pg_dump" in done.err, "secret" in done.err) == (2, True, False)
