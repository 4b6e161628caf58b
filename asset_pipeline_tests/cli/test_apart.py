"""The sandbox and real work live apart, everywhere a person looks, by themselves and back."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import pytest

from asset_pipeline.warehouse.query import query
from asset_pipeline_tests.cli.conftest import Done, Sandbox, Workspace

Cli = Callable[..., Done]


@pytest.fixture
def real(sandbox: Sandbox) -> dict[str, str]:
    """The environment of real work; another sandbox server stands in for Replicate."""
    return {
        "ASSET_PIPELINE_PROVIDER": "replicate",
        "REPLICATE_API_TOKEN": "r8_a_token",
        "REPLICATE_BASE_URL": sandbox.url,
    }


@pytest.fixture
def drawn(sandbox: Sandbox) -> dict[str, str]:
    """The environment of the sandbox."""
    return {"ASSET_PIPELINE_PROVIDER": "sandbox", "REPLICATE_BASE_URL": sandbox.url}


_LOOKING = [
    ["generate"],
    ["reconcile"],
    ["status"],
    ["plan"],
    ["costs"],
    ["sql", "FROM clips"],
    ["audit"],
    ["export", "--to", "out"],
    ["fsck"],
    ["link", "red-house"],
    ["approve", "red-house"],
    ["retention"],
]


def _rows(ledger: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(ledger) as connection:
        return connection.execute("SELECT * FROM intents ORDER BY intent_id").fetchall()


def test_a_ledger_is_one_providers(
    cli: Cli, workspace: Workspace, real: dict[str, str], drawn: dict[str, str]
) -> None:
    """Whoever comes with another provider is told which one its rows need, and changes nothing."""
    path = workspace.root / "shared.db"
    url = {"ASSET_PIPELINE_LEDGER_URL": f"sqlite:///{path}"}
    assert cli("status", env={**drawn, **url}).code == 0
    assert cli("generate", "--prompt", "red-house", env={**real, **url}).code == 0
    before = _rows(str(path))
    for arguments in _LOOKING:
        done = cli(*arguments, env={**drawn, **url})
        assert done.code == 2, (arguments, done)
        assert "holds the payments of replicate" in done.err, arguments
        assert "ASSET_PIPELINE_PROVIDER=replicate" in done.err, arguments
        assert "Traceback" not in done.err
    done = cli("doctor", "--json", env={**drawn, **url})
    assert {each["part"]: each["state"] for each in done.json["checkups"]}["ledger"] == "fail"
    assert _rows(str(path)) == before
    assert cli("status", env={**real, **url}).code == 0


def _make_old(ledger: str) -> None:
    """Leave a ledger as an earlier release had it: nobody's."""
    with sqlite3.connect(ledger) as connection:
        connection.execute("UPDATE ledger_identity SET provider = ''")
        connection.execute("UPDATE intents SET provider = '', base_url = '', account = ''")


def _provider_of(ledger: str) -> str:
    with sqlite3.connect(ledger) as connection:
        return str(connection.execute("SELECT provider FROM ledger_identity").fetchone()[0])


def test_an_old_ledger_is_bound_by_evidence(
    cli: Cli, workspace: Workspace, real: dict[str, str], drawn: dict[str, str]
) -> None:
    """The sandbox takes only what it made itself; a real provider takes what it did not."""
    path = str(workspace.root / "shared.db")
    url = {"ASSET_PIPELINE_LEDGER_URL": f"sqlite:///{path}"}
    assert cli("generate", "--prompt", "red-house", env={**drawn, **url}).code == 0
    # The sandbox at hand knows the prediction.
    _make_old(path)
    assert cli("status", env={**drawn, **url}).code == 0
    assert _provider_of(path) == "sandbox"
    # No sandbox at hand knows it.
    _make_old(path)
    elsewhere = {"ASSET_PIPELINE_PROVIDER": "sandbox", "REPLICATE_BASE_URL": "http://127.0.0.1:1"}
    assert cli("status", env={**elsewhere, **url}).code == 2
    assert _provider_of(path) == ""
    assert cli("status", env={**real, **url}).code == 0
    assert _provider_of(path) == "replicate"


@pytest.mark.parametrize("provider", ["replicate", "sandbox"])
def test_an_old_default_file_keeps_its_provider(
    cli: Cli, workspace: Workspace, real: dict[str, str], drawn: dict[str, str], provider: str
) -> None:
    """A ledger at its default place is of the provider that the place is for."""
    env = {"replicate": real, "sandbox": drawn}[provider]
    name = {"replicate": "ledger.db", "sandbox": "ledger.sandbox.db"}[provider]
    path = str(workspace.root / "data" / name)
    assert cli("generate", "--prompt", "red-house", env=env).code == 0
    _make_old(path)
    assert cli("status", env=env).code == 0
    assert _provider_of(path) == provider


def _gallery(workspace: Workspace) -> str:
    return (workspace.root / "data" / "gallery" / "index.html").read_text(encoding="utf-8")


def _tables_have(workspace: Workspace) -> int:
    path = workspace.root / "data" / "warehouse.duckdb"
    return int(query(path, "SELECT count(*) FROM clips")[1][0][0])


def _landed(done: Done) -> int:
    return sum(group["landed"] for group in done.json["collections"])


def test_a_first_real_run_leaves_the_sandbox_its_own(
    cli: Cli, workspace: Workspace, real: dict[str, str], drawn: dict[str, str]
) -> None:
    """Status, tables and gallery are of the provider in use, and of the other one after going back.

    Nobody configures anything, and going back takes no work.
    """
    assert cli("generate", env=drawn).code == 0
    assert (_tables_have(workspace), _gallery(workspace).count("<figure")) == (4, 4)
    # Looking as the other shows nothing of it.
    assert _landed(cli("status", "--json", env=real)) == 0
    assert not (workspace.root / "data" / "warehouse.duckdb").exists()
    assert cli("generate", "--prompt", "hello", env=real).code == 0
    assert (_tables_have(workspace), _gallery(workspace).count("<figure")) == (1, 1)
    assert _landed(cli("status", "--json", env=real)) == 1
    assert len(cli("sql", "--json", "FROM clips", env=real).json) == 1
    assert _landed(cli("status", "--json", env=drawn)) == 3
    assert (_tables_have(workspace), _gallery(workspace).count("<figure")) == (4, 4)
    assert len(cli("sql", "--json", "FROM clips", env=drawn).json) == 4


@pytest.mark.parametrize("publisher", ["sandbox", "replicate"])
def test_files_of_an_earlier_release_stay_their_publishers(
    cli: Cli, workspace: Workspace, real: dict[str, str], drawn: dict[str, str], publisher: str
) -> None:
    """The one warehouse and gallery that were there become those of whose rows are in them."""
    own, other = (drawn, real) if publisher == "sandbox" else (real, drawn)
    assert cli("generate", "--prompt", "red-house", env=own).code == 0
    data = workspace.root / "data"
    for path in (data / "warehouse.duckdb", data / "gallery" / "index.html"):
        target = path.resolve()
        path.unlink()
        target.rename(path)
    assert cli("status", env=other).code == 0
    assert not (data / "gallery" / "index.html").exists()
    assert cli("sql", "FROM clips", env=own).code == 0
    assert (_tables_have(workspace), _gallery(workspace).count("<figure")) == (1, 1)


def test_an_instance_that_both_share_shows_no_others_clips(
    cli: Cli, workspace: Workspace, real: dict[str, str], drawn: dict[str, str]
) -> None:
    """With a dagster.yaml of one's own, the ledger says what the provider in use has made."""
    home = workspace.root / "dagster_home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    assert cli("generate", env=drawn).code == 0
    assert _landed(cli("status", "--json", env=real)) == 0
    assert cli("plan", "--json", env=real).json["prompts"] == 3


def test_a_charge_that_came_while_publishing_is_shown(
    cli: Cli, workspace: Workspace, drawn: dict[str, str]
) -> None:
    """A table is behind when the ledger holds more than it shows, whatever the clock says."""
    assert cli("generate", "--prompt", "red-house", env=drawn).code == 0
    before = cli("costs", "--json", env=drawn).json[0]["charged_usd"]
    with sqlite3.connect(workspace.root / "data" / "ledger.sandbox.db") as connection:
        # Stamped before the file was published, committed after it was read.
        connection.execute(
            "UPDATE intents SET charged_microusd = 2 * charged_microusd,"
            " updated_at = '2020-01-01 00:00:00.000000'"
        )
        connection.execute(
            "INSERT INTO entries (intent_id, budget, type, amount_microusd, created_at) "
            "SELECT intent_id, budget, type, amount_microusd, '2020-01-01 00:00:00.000000' "
            "FROM entries WHERE type = 'charge'"
        )
    after = cli("costs", "--json", env=drawn).json[0]["charged_usd"]
    assert float(after) == 2 * float(before)


def test_an_export_is_one_ledgers(
    cli: Cli, workspace: Workspace, real: dict[str, str], drawn: dict[str, str]
) -> None:
    """What the sandbox drew is not exported over real work, and its manifest stays."""
    out = workspace.root / "out"
    # The stand-in draws as the sandbox does: the two make different clips.
    for env, prompt in ((drawn, "hello"), (real, "red-house")):
        assert cli("generate", "--prompt", prompt, env=env).code == 0
    assert cli("export", "--to", str(out), env=real).code == 0
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    refused = cli("export", "--to", str(out), env=drawn)
    assert refused.code == 2
    assert "holds the export of another ledger" in refused.err
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    moved = out.rename(workspace.root / "moved")
    assert cli("export", "--to", str(moved), env=real).code == 0
