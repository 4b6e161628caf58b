"""The sandbox and real work live apart, everywhere a person looks, by themselves and back."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import pytest

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
