"""`audit`: agreement is said, disagreement is listed with exit code 1, orphans are recorded."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable

import httpx
import pytest

from asset_pipeline_tests.cli.conftest import Done, Sandbox, Workspace, until

Cli = Callable[..., Done]

SCHNELL = "black-forest-labs/flux-schnell"


def test_books_that_agree(cli: Cli, sandbox: Sandbox) -> None:
    """After a run every balance is the sum of its entries."""
    env = {"REPLICATE_BASE_URL": sandbox.url}
    assert cli("generate", "--kind", "image", env=env).code == 0
    done = cli("audit", "--offline")
    assert (done.code, done.err) == (0, "")
    assert "3 intents" in done.out
    assert "agree." in done.out
    assert "provider" not in done.out
    told = cli("audit", "--offline", "--json").json
    assert "orphans" not in told
    assert (told["mismatches"], told["intents"], told["clips"]) == ([], 3, 3)


def test_a_mismatch_is_named(cli: Cli, sandbox: Sandbox, workspace: Workspace) -> None:
    """A balance that somebody edited by hand."""
    env = {"REPLICATE_BASE_URL": sandbox.url}
    assert cli("generate", "--prompt", "red-house", env=env).code == 0
    with sqlite3.connect(workspace.root / "data" / "ledger.sandbox.db") as ledger:
        ledger.execute("UPDATE budgets SET charged_microusd = 0 WHERE budget = 'total'")
    done = cli("audit", "--offline")
    assert done.code == 1
    for part in ("budget total", "sum to charged", "$0.003", "$0.00", "do not agree"):
        assert part in done.out
    told = cli("audit", "--offline", "--json").json["mismatches"]
    for rule in ("its entries sum to charged", "the intents in its scope sum to charged"):
        assert {
            "subject": "budget total",
            "rule": rule,
            "expected": "$0.003",
            "found": "$0.00",
        } in told


def test_an_orphan_is_recorded_and_then_known(cli: Cli, slow_sandbox: Sandbox) -> None:
    """Somebody's script spent on the same account: found once, in the costs from then on."""
    env = {"REPLICATE_BASE_URL": slow_sandbox.url}
    bought = httpx.post(
        f"{slow_sandbox.url}/v1/models/{SCHNELL}/predictions",
        json={"input": {"prompt": "A stranger's cat"}},
        headers={"Authorization": "Bearer r8_stranger"},
    ).json()
    done = cli("audit", env=env)
    assert (done.code, "1 without an owner still run" in done.out) == (0, True)
    slow_sandbox.pass_time(61)
    until(lambda: slow_sandbox.bill()["total_micro_usd"] > 0)
    done = cli("audit", "--since", "1", env=env)
    assert done.code == 1
    for part in (bought["id"], "A stranger's cat", "1 recorded as orphans for $0.003"):
        assert part in done.out
    again = cli("audit", "--json", env=env)
    assert again.code == 0
    assert (again.json["orphans"]["known"], again.json["orphans"]["recorded"]) == (1, [])
    (budget,) = [one for one in cli("status", "--json").json["budgets"] if one["budget"] == "total"]
    assert budget["charged_usd"] == "0.003000"


def test_a_silent_provider_is_told(cli: Cli) -> None:
    """Nothing can be compared: a sentence and exit code 2."""
    started = time.monotonic()
    env = {"REPLICATE_BASE_URL": "http://127.0.0.1:1", "REPLICATE_API_TOKEN": "r8_x"}
    done = cli("audit", "--orphans", env=env)
    assert (done.code, done.out) == (2, "")
    assert "did not list its predictions" in done.err
    assert time.monotonic() - started < 30


@pytest.mark.parametrize("token", ["r8_x", ""])
def test_a_provider_out_of_reach_is_said_and_the_ledger_decides(cli: Cli, token: str) -> None:
    """Nobody insisted: the books are audited all the same, without a word on stdout."""
    env = {"ASSET_PIPELINE_PROVIDER": "replicate", "REPLICATE_BASE_URL": "http://127.0.0.1:1"}
    done = cli("audit", "--json", env={**env, "REPLICATE_API_TOKEN": token})
    assert (done.code, done.json["mismatches"]) == (0, [])
    assert "The ledger alone was audited." in done.err
    assert "orphans" not in done.json


def test_a_reach_needs_the_provider(cli: Cli) -> None:
    """The ledger itself is always audited whole."""
    done = cli("audit", "--since", "3", "--offline")
    assert (done.code, "--offline asks nobody" in done.err) == (2, True)


def test_a_payment_of_the_same_twice_is_named(
    cli: Cli, sandbox: Sandbox, workspace: Workspace
) -> None:
    """The provider made a second one for a clip that is paid for; both audits say so."""
    env = {"REPLICATE_BASE_URL": sandbox.url}
    assert cli("generate", "--prompt", "red-house", env=env).code == 0
    with sqlite3.connect(workspace.root / "data" / "ledger.sandbox.db") as ledger:
        ((inputs,),) = ledger.execute("SELECT inputs_json FROM intents").fetchall()
    second = httpx.post(
        f"{sandbox.url}/v1/models/{SCHNELL}/predictions",
        json={"input": json.loads(inputs)},
        headers={"Authorization": "Bearer r8_x"},
    ).json()
    until(lambda: _status(sandbox, second["id"]) == "succeeded")
    for _ in range(2):
        done = cli("audit", "--json", env=env)
        assert done.code == 1
        # Other tests made the same clip on this account, for ledgers of their own.
        told = {each["found"]: each["subject"] for each in done.json["orphans"]["mismatches"]}
        assert told[f"prediction {second['id']} as well"] == "image/red-house variant 1"


def _status(sandbox: Sandbox, prediction_id: str) -> str:
    url = f"{sandbox.url}/v1/predictions/{prediction_id}"
    return httpx.get(url, headers={"Authorization": "Bearer r8_x"}).json()["status"]
