"""`doctor` and `store harden`: a line for each part, what to do, and nothing changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from asset_pipeline_tests.cli.conftest import Done, Sandbox, Workspace
from asset_pipeline_tests.support.servers.fixtures import seaweed, seaweed_server
from asset_pipeline_tests.support.servers.seaweed import SECRET_KEY, SeaweedFS

__all__ = ["seaweed", "seaweed_server"]

Cli = Callable[..., Done]


def _states(done: Done) -> dict[str, str]:
    return {each["part"]: each["state"] for each in done.json["checkups"]}


def _files(workspace: Workspace) -> list[str]:
    return sorted(str(path) for path in workspace.root.rglob("*"))


def test_a_new_installation_is_well(cli: Cli, workspace: Workspace) -> None:
    """Before the first run everything is in order, and looking makes no file."""
    (workspace.root / "dagster_home").mkdir()
    (workspace.root / "dagster_home" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    before = _files(workspace)
    done = cli("doctor", "--json")
    assert (done.code, set(_states(done).values())) == (0, {"ok"}), done.out
    assert done.json["healthy"]
    assert _files(workspace) == before


def test_each_line_says_what_to_do(cli: Cli) -> None:
    """For people there is a line for each part."""
    done = cli("doctor")
    assert done.code == 0
    lines = [line for line in done.out.splitlines() if line.strip()]
    assert [line.split()[0] for line in lines] == ["ok"] * 10 + ["warn"] + ["ok"] * 5
    assert "copy its dagster.yaml" in done.out


def test_what_is_missing(cli: Cli, workspace: Workspace) -> None:
    """A token, prompts that can be read, a ledger and a warehouse that are none: exit code 2."""
    data = workspace.root / "data"
    data.mkdir()
    (data / "ledger.db").write_text("this is no database, " * 40)
    (data / "warehouse.duckdb").write_text("nor is this")
    (workspace.root / "prompts" / "images" / "houses.yaml").write_text("prompts: [{id: x}]")
    done = cli("doctor", "--json", env={"ASSET_PIPELINE_PROVIDER": "replicate"})
    states = _states(done)
    assert done.code == 2
    assert not done.json["healthy"]
    assert {part for part, state in states.items() if state == "fail"} == {
        "token",
        "ledger",
        "warehouse",
    }
    assert (states["prompts"], states["provider"]) == ("warn", "warn")
    advice = {each["part"]: each["advice"] for each in done.json["checkups"]}
    assert "REPLICATE" in advice["token"] or "sandbox" in advice["token"]


def test_an_old_ledger_and_a_newer_one(cli: Cli, workspace: Workspace) -> None:
    """A ledger behind is a warning with the command that mends it; one ahead is a failure."""
    assert cli("ledger", "upgrade").code == 0
    for revision, state in (("0000", "warn"), ("9999", "fail")):
        with sqlite3.connect(workspace.root / "data" / "ledger.sandbox.db") as connection:
            connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
        connection.close()
        assert _states(cli("doctor", "--json"))["ledger"] == state


def test_the_provider_is_asked(cli: Cli, sandbox: Sandbox) -> None:
    """A provider that answers is well; one that does not is a failure, in a sentence."""
    answering = cli("doctor", "--json", env={"REPLICATE_BASE_URL": sandbox.url})
    assert _states(answering)["provider"] == "ok"
    silent = cli("doctor", "--json", env={"REPLICATE_BASE_URL": "http://127.0.0.1:9"})
    assert (silent.code, _states(silent)["provider"]) == (2, "fail")


def test_a_bucket(cli: Cli, seaweed: SeaweedFS) -> None:
    """Doctor names each rule of the bucket; harden sets them; both say what the server lacks."""
    client: Any = seaweed.client()
    client.create_bucket(Bucket="doctors-own")
    env = {"ASSET_PIPELINE_STORE_URL": "s3://doctors-own/studio"}
    before = cli("doctor", "--json", env=env)
    assert _states(before)["store"] == "ok"
    assert _states(before)["store: cors"] == "warn"
    done = cli("store", "harden", env=env)
    assert done.code == 0, done.err
    assert "unsupported public access" in done.out
    assert "Set just now." in done.out
    after = _states(cli("doctor", "--json", env=env))
    assert after["store: public access"] == "warn"
    assert {after[f"store: {rule}"] for rule in ("encryption", "leftovers", "cors")} == {"ok"}
    assert SECRET_KEY not in before.out + done.out


def test_a_bucket_that_is_not_there(cli: Cli, seaweed: SeaweedFS) -> None:
    """A missing bucket and wrong keys fail, with what to do."""
    del seaweed
    env = {"ASSET_PIPELINE_STORE_URL": "s3://no-such-bucket/studio"}
    done = cli("doctor", env=env)
    assert done.code == 2
    assert "Create the bucket" in done.out
    assert cli("store", "harden", env=env).code == 2


def test_a_folder_needs_no_hardening(cli: Cli) -> None:
    """There is nothing to set for a folder, and that is said."""
    done = cli("store", "harden")
    assert (done.code, "permissions" in done.out) == (0, True)


def test_a_broken_instance_is_told_and_the_next_command_mends_it(
    workspace: Workspace, cli: Cli
) -> None:
    """The Dagster instance is opened; one that two processes made at once fails the checkup."""
    home = workspace.root / "dagster_home"
    home.mkdir()
    assert cli("status").code == 0
    with sqlite3.connect(home / "history" / "runs.db") as runs:
        runs.execute("INSERT INTO alembic_version VALUES ('7f2b1a4ca7a5')")
    done = cli("doctor", "--json")
    assert (done.code, _states(done)["DAGSTER_HOME"]) == (2, "fail"), done.out
    assert "stamped twice" in done.out
    assert cli("status").code == 0
    assert _states(cli("doctor", "--json"))["DAGSTER_HOME"] == "ok"
