"""Ctrl-C and kill -9 in the middle of `generate`: what was begun is gone on with, paid once."""

from __future__ import annotations

import json
import signal
import sqlite3

from asset_pipeline_tests.cli.conftest import Sandbox, Workspace, until


def _charged(workspace: Workspace) -> int:
    with sqlite3.connect(workspace.root / "data" / "ledger.sandbox.db") as ledger:
        return ledger.execute("SELECT sum(charged_microusd) FROM intents").fetchone()[0]


def _workers(workspace: Workspace) -> int:
    with sqlite3.connect(workspace.root / "data" / "ledger.sandbox.db") as ledger:
        return ledger.execute("SELECT count(*) FROM workers").fetchone()[0]


def test_ctrl_c_keeps_everything_and_the_next_run_goes_on(
    workspace: Workspace, slow_sandbox: Sandbox
) -> None:
    """Ctrl-C ends with 130 and one line; the prompts go on, and are paid for once."""
    env = {"REPLICATE_BASE_URL": slow_sandbox.url}
    process = workspace.start("generate", "--kind", "image", env=env)
    until(lambda: slow_sandbox.bill()["accepted"] >= 2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "predictions are open in the ledger" in err, err
    assert "Traceback" not in err
    assert not out
    states = workspace.run("status", "--json").json["collections"]
    assert [(group["cancelled"], group["running"]) for group in states] == [(2, 0), (0, 0)]
    assert [group["missing"] for group in states] == [0, 1]

    process = workspace.start("generate", "--kind", "image", env=env)
    until(lambda: _workers(workspace) == 2)
    process.kill()
    process.communicate()

    slow_sandbox.pass_time(60)
    process = workspace.start("generate", "--kind", "image", "--json", env=env)
    until(lambda: slow_sandbox.bill()["accepted"] == 3)
    slow_sandbox.pass_time(60)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert json.loads(out)["done"] == 2
    bill = slow_sandbox.bill()
    assert bill["accepted"] == 3
    assert bill["total_micro_usd"] == _charged(workspace) == 9000


def test_what_is_open_is_finished_before_anything_new(
    workspace: Workspace, slow_sandbox: Sandbox
) -> None:
    """A `generate` of other prompts fetches what an earlier one paid for, and Dagster shows it."""
    env = {"REPLICATE_BASE_URL": slow_sandbox.url}
    process = workspace.start("generate", "--prompt", "red-house", env=env)
    until(lambda: slow_sandbox.bill()["accepted"] == 1)
    process.kill()
    process.communicate()
    slow_sandbox.pass_time(60)
    process = workspace.start("generate", "--prompt", "hello", "--json", env=env)
    until(lambda: slow_sandbox.bill()["accepted"] == 2)
    slow_sandbox.pass_time(60)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "1 predictions of earlier runs are open: they are finished first." in err
    done = json.loads(out)
    assert (done["open_finished"], done["clips_generated"], done["clips_cached"]) == (1, 1, 1)
    bill = slow_sandbox.bill()
    assert bill["accepted"] == 2
    assert float(done["paid_usd"]) * 1_000_000 == bill["total_micro_usd"]
    states = workspace.run("status", "--json").json["collections"]
    assert [group["landed"] for group in states] == [1, 1]
