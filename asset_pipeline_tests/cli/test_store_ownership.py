"""Stores that are away and ledgers that are gone, as a person meets them: nothing is paid again."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from asset_pipeline_tests.cli.conftest import Done, Sandbox, Workspace, until
from asset_pipeline_tests.support.servers.fixtures import seaweed, seaweed_server
from asset_pipeline_tests.support.servers.seaweed import SeaweedFS
from asset_pipeline_tests.support.settled_files import write_settled

__all__ = ["seaweed", "seaweed_server"]

Cli = Callable[..., Done]


@pytest.fixture
def made(cli: Cli, sandbox: Sandbox) -> Cli:
    """A workspace whose three pictures are made; later commands know the sandbox."""

    def run(*arguments: str, env: dict[str, str] | None = None) -> Done:
        return cli(*arguments, env={"REPLICATE_BASE_URL": sandbox.url} | (env or {}))

    assert run("generate", "--kind", "image").code == 0
    return run


def end_the_hour(workspace: Workspace) -> None:
    """Let the provider have forgotten the outputs."""
    with sqlite3.connect(workspace.root / "data" / "ledger.sandbox.db") as ledger:
        ledger.execute("UPDATE intents SET completed_at = '2026-01-01 00:00:00'")


def checkup(done: Done, part: str) -> Any:  # noqa: ANN401 -- JSON
    (found,) = [each for each in done.json["checkups"] if each["part"] == part]
    return found


def lose_ledger(workspace: Workspace) -> None:
    for path in (workspace.root / "data").glob("ledger.sandbox.db*"):
        path.unlink()


def test_a_store_that_is_not_mounted_is_no_loss(
    made: Cli, sandbox: Sandbox, workspace: Workspace
) -> None:
    """No command counts a clip as lost or pays for one; mounted again, all is as before."""
    clips = workspace.root / "data" / "clips"
    end_the_hour(workspace)
    bill = sandbox.bill()["total_micro_usd"]
    shutil.move(clips, workspace.root / "unmounted")
    clips.mkdir()
    for command in (
        ["fsck"],
        ["fsck", "--repair"],
        ["fsck", "--repair", "--accept-loss"],
        ["retention"],
        ["retention", "--delete"],
        ["generate", "--kind", "image", "--all"],
        ["generate", "--kind", "audio"],
        ["reconcile"],
    ):
        done = made(*command)
        if command == ["reconcile"]:
            assert done.code == 0  # nothing is open: the store is not asked
            continue
        assert done.code == 2, (command, done.out, done.err)
        assert "mounted" in done.err, command
    told = checkup(made("doctor", "--json"), "store")
    assert told["state"] == "fail"
    assert "store adopt" in told["advice"]
    assert sandbox.bill()["total_micro_usd"] == bill
    clips.rmdir()
    shutil.move(workspace.root / "unmounted", clips)
    assert made("fsck").code == 0
    assert made("generate", "--kind", "image", "--all", "--json").json["clips_cached"] == 3
    assert sandbox.bill()["total_micro_usd"] == bill
    assert made("doctor", "--json").json["healthy"]


def test_another_prefix_of_the_bucket_is_no_loss(
    cli: Cli, sandbox: Sandbox, seaweed: SeaweedFS, workspace: Workspace
) -> None:
    """A mistyped prefix: `fsck --repair` gives no verdict, and nothing is made again."""
    env = {"REPLICATE_BASE_URL": sandbox.url, "ASSET_PIPELINE_STORE_URL": seaweed.new_url()}
    assert cli("generate", "--kind", "image", env=env).code == 0
    end_the_hour(workspace)
    bill = sandbox.bill()["total_micro_usd"]
    wrong = env | {"ASSET_PIPELINE_STORE_URL": seaweed.new_url()}
    for command in (["fsck", "--repair"], ["retention", "--delete"]):
        done = cli(*command, env=wrong)
        assert done.code == 2
        assert env["ASSET_PIPELINE_STORE_URL"] in done.err
    assert cli("fsck", env=env).code == 0
    assert cli("generate", "--kind", "image", "--json", env=env).json["clips_generated"] == 0
    assert sandbox.bill()["total_micro_usd"] == bill


@pytest.mark.parametrize("how", ["deleted", "emptied"])
def test_a_ledger_that_is_gone_pays_for_nothing(
    made: Cli, sandbox: Sandbox, workspace: Workspace, how: str
) -> None:
    """Beside a full store a new ledger is refused, until a person says that it is meant."""
    bill = sandbox.bill()["total_micro_usd"]
    lose_ledger(workspace)
    if how == "emptied":
        (workspace.root / "data" / "ledger.sandbox.db").touch()
    told = checkup(made("doctor", "--json"), "ledger")
    assert (told["state"], "holds the clips of one" in told["detail"]) == ("fail", True)
    for _ in range(2):  # the second time there is a ledger, which is empty
        for arguments in (["--all"], ["--kind", "image", "--all"], []):
            done = made("generate", *arguments)
            assert done.code == 2, done.out
            assert "this ledger is new" in done.err
            assert "store adopt" in done.err
    assert checkup(made("doctor", "--json"), "store")["state"] == "fail"
    assert sandbox.bill()["total_micro_usd"] == bill
    assert made("store", "adopt").code == 2  # nobody is there to ask
    assert made("store", "adopt", "--yes", "--json").json["changed"] is True
    assert made("store", "adopt", "--json").json["changed"] is False
    assert made("generate", "--kind", "image", "--all").code == 0
    assert sandbox.bill()["total_micro_usd"] > bill


def test_a_ledger_deleted_in_mid_run_stops_the_run(
    workspace: Workspace, slow_sandbox: Sandbox
) -> None:
    """The run ends with a sentence and exit code 2; what it would write is not believed."""
    ledger = workspace.root / "data" / "ledger.sandbox.db"
    running = workspace.start("generate", env={"REPLICATE_BASE_URL": slow_sandbox.url})
    until(lambda: ledger.exists() and slow_sandbox.bill()["accepted"] == 3)
    lose_ledger(workspace)
    slow_sandbox.pass_time(120)
    out, err = running.communicate(timeout=90)
    assert running.returncode == 2, (out, err)
    assert "while this process had the ledger open" in err
    assert "ledger restore" in err
    again = workspace.run("generate", env={"REPLICATE_BASE_URL": slow_sandbox.url})
    assert again.code == 2
    assert slow_sandbox.bill()["accepted"] == 3


def test_prompt_files_that_are_away_delete_nothing(made: Cli, workspace: Workspace) -> None:
    """Retention asks for a word before current clips go because their prompts are not there."""
    (workspace.root / "config").mkdir(exist_ok=True)
    write_settled(
        workspace.root / "config" / "retention.yaml", "rules: [{name: all, older_than_days: 0}]"
    )
    shutil.move(workspace.root / "prompts" / "images", workspace.root / "away")
    dry = made("retention")
    assert dry.code == 0
    assert "3 of 3 current clips would be deleted" in dry.err
    refused = made("retention", "--delete")
    assert refused.code == 1
    assert "Nothing is left of the prompts of houses" in refused.err
    assert made("fsck").code == 0
    accepted = made("retention", "--delete", "--accept-loss", "--json").json
    assert accepted["deleted"] == 3


def test_a_retouched_export_is_kept(made: Cli, workspace: Workspace) -> None:
    """It is named, and costs no exit code while there is no newer clip."""
    assert made("export", "--to", "out").code == 0
    path = workspace.root / "out" / "houses" / "red-house-1.webp"
    path.unlink()
    path.write_bytes(b"retouched")
    again = made("export", "--to", "out")
    assert again.code == 0
    assert "and kept: houses/red-house-1.webp" in again.out
    assert path.read_bytes() == b"retouched"
    assert made("generate", "--prompt", "red-house", "--force", "--yes").code == 0
    newer = made("export", "--to", "out")
    assert newer.code == 1
    assert path.read_bytes() == b"retouched"


def test_doctor_tries_the_store(made: Cli, workspace: Workspace) -> None:
    """A file is put and deleted; a store that refuses it fails, and `generate` pays for nothing."""
    clips = workspace.root / "data" / "clips"
    before = {path for path in clips.rglob("*") if path.is_file()}
    told = checkup(made("doctor", "--json"), "store")
    assert (told["state"], "put, read back" in told["detail"]) == ("ok", True)
    assert {path for path in clips.rglob("*") if path.is_file()} == before
    shutil.rmtree(clips / ".incoming")
    (clips / ".incoming").write_text("in the way")
    told = checkup(made("doctor", "--json"), "store")
    assert told["state"] == "fail"
    done = made("generate", "--kind", "audio", "--json")
    assert done.code == 1
    assert done.json["paid_usd"] in {"0", "0.000000", 0}
    assert "the store refuses files" in done.json["failures"][0]["message"]
    assert done.json["failures"][0]["class"] == "server_error"


def test_demo_and_real_work_share_a_folder(made: Cli, workspace: Workspace) -> None:
    """The sandbox's marker speaks for the sandbox's ledger alone."""
    marked = sorted(Path(path).name for path in (workspace.root / "data").rglob("store-*.json"))
    assert marked == ["store-sandbox.json"]
    env = {"ASSET_PIPELINE_PROVIDER": "replicate", "REPLICATE_API_TOKEN": "r8_" + "q7w2" * 9 + "z"}
    assert checkup(made("doctor", "--json", env=env), "ledger")["state"] == "ok"
