"""`generate` and `demo` against a real sandbox: what is made, paid, told, and published."""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Callable
from typing import Any

import dagster as dg
import httpx
import pytest

from asset_pipeline.cli import _runs
from asset_pipeline.definitions import build_defs
from asset_pipeline.money import MicroUsd, format_usd
from asset_pipeline_tests.cli.conftest import IMAGES, Done, Sandbox, Workspace
from asset_pipeline_tests.support.retry_rules import no_retries, write_rules

Cli = Callable[..., Done]


@pytest.fixture(autouse=True)
def use_sandbox(workspace: Workspace, sandbox: Sandbox) -> None:
    """Point every command of these tests to the shared sandbox."""
    workspace.environment["REPLICATE_BASE_URL"] = sandbox.url


def _charged(workspace: Workspace) -> int:
    with sqlite3.connect(workspace.root / "data" / "ledger.sandbox.db") as ledger:
        return ledger.execute("SELECT sum(charged_microusd) FROM intents").fetchone()[0]


def _bill_since(sandbox: Sandbox, before: dict[str, Any]) -> tuple[int, int]:
    now = sandbox.bill()
    return (
        now["accepted"] - before["accepted"],
        now["total_micro_usd"] - before["total_micro_usd"],
    )


def test_everything_is_made_once_and_never_paid_twice(
    workspace: Workspace, sandbox: Sandbox
) -> None:
    """A first `generate --all` pays exactly what the sandbox bills; a second pays nothing."""
    before = sandbox.bill()
    first = workspace.run("generate", "--all")
    assert first.code == 0, first.err
    assert "3 of 3" in first.out
    assert "4 of 4 clips" in first.err
    assert "Traceback" not in first.err
    assert "dagster" not in first.err
    assert _bill_since(sandbox, before) == (4, _charged(workspace)) == (4, 9008)
    assert (workspace.root / "data" / "gallery" / "index.html").is_file()

    second = workspace.run("generate", "--all", "--json")
    assert second.code == 0
    assert second.json["paid_usd"] == "0.000000"
    assert second.json["clips_cached"] == 4
    assert _bill_since(sandbox, before) == (4, 9008)

    costs = workspace.run("costs", "--by", "collection", "--json").json
    assert {row["collection"]: row["charged_usd"] for row in costs} == {
        "houses": "0.009000",
        "greetings": "0.000008",
    }


def test_an_edited_prompt_is_stale_and_only_that_one_is_made_anew(
    cli: Cli, workspace: Workspace, sandbox: Sandbox
) -> None:
    """Default takes what is missing, `--stale` what was edited; status and plan agree."""
    assert cli("generate", "--kind", "image").code == 0
    status = {group["collection"]: group for group in cli("status", "--json").json["collections"]}
    assert (status["houses"]["landed"], status["greetings"]["missing"]) == (2, 1)

    workspace.write("images/houses.yaml", IMAGES.replace("A blue boat", "A green boat"))
    assert cli("plan", "--stale", "--json").json["to_generate"] == 2
    status = {group["collection"]: group for group in cli("status", "--json").json["collections"]}
    assert (status["houses"]["landed"], status["houses"]["stale"]) == (2, 1)
    idle = cli("generate", "--kind", "image")
    assert idle.code == 0
    assert "1 were edited after their clips landed: --stale" in idle.err

    before = sandbox.bill()
    assert cli("generate", "--stale", "--json").json["done"] == 1
    assert _bill_since(sandbox, before)[0] == 2
    assert cli("plan", "--stale", "--json").json["prompts"] == 0

    # Back to the first text: its clips are stored, though another version landed since.
    workspace.write("images/houses.yaml", IMAGES)
    again = cli("generate", "--stale", "--json").json
    assert (again["clips_cached"], again["paid_usd"]) == (2, "0.000000")
    assert cli("plan", "--stale", "--json").json["prompts"] == 0


def test_a_budget_refuses_and_the_next_run_goes_on(
    cli: Cli, workspace: Workspace, sandbox: Sandbox
) -> None:
    """`--max-usd` holds over both kinds together and ends with 3; nothing failed by it."""
    before = sandbox.bill()
    done = cli("generate", "--max-usd", "0.006")
    assert done.code == 3, done.err
    assert _bill_since(sandbox, before) == (2, 6000)
    assert _charged(workspace) == 6000
    told = " ".join(done.out.split())
    assert (
        "Stopped at --max-usd $0.006: 2 clips were made for $0.006, 2 clips were not started, "
        "nothing is open. `asset-pipeline generate` goes on" in told
    )
    assert "budgets.yaml" not in told
    assert "failed at" not in told
    assert "0 failed" in done.err
    assert "$0.006 paid" in done.err
    groups = cli("status", "--json").json["collections"]
    assert sum(group["refused"] for group in groups) == 2
    assert sum(group["failed"] + group["missing"] for group in groups) == 0
    planned = cli("plan", "--json").json
    assert (planned["prompts"], planned["refused"], planned["failed_before"]) == (2, 2, 0)
    assert cli("sql", "--json", "FROM failures").json == []
    later = cli("generate", "--json")
    assert later.code == 0
    assert (later.json["failed"], later.json["refused"], later.json["done"]) == (0, 0, 2)
    assert _bill_since(sandbox, before) == (4, 9008)


@pytest.mark.parametrize(
    ("token", "error_class", "hint"),
    [
        ("r8_wrong", "│ authentication", "Check REPLICATE_API_TOKEN."),
        ("r8_poor", "insufficient_credit", "Add credit"),
    ],
)
def test_an_account_that_cannot_pay_is_told_once(
    cli: Cli, token: str, error_class: str, hint: str
) -> None:
    """Of a refusal that befalls every prompt, one line is shown; nothing is charged."""
    env = {"REPLICATE_API_TOKEN": token}
    done = cli("generate", "--kind", "image", env=env)
    assert done.code == 1
    assert done.out.count(error_class) == 1
    assert done.out.count(hint) == 1
    assert "$0.00" in done.out
    assert cli("status", "--json", env=env).json["collections"][0]["failed"] == 2
    assert cli("status", "--json").json["collections"][0]["missing"] == 2
    again = cli("generate", "--kind", "image", env=env)
    assert again.code == 1
    assert "`asset-pipeline generate --failed --kind image` takes them up" in again.out


def test_what_failed_counts_as_paid_and_stays_told(
    cli: Cli, workspace: Workspace, sandbox: Sandbox
) -> None:
    """What was charged for failures is in the closing line, and a plain run ends with 1 for them.

    Its advice fits an attempt that has ended: it holds no money.
    """
    (workspace.root / "config").mkdir(exist_ok=True)
    write_rules(workspace.root / "config", no_retries())
    fault = {"fault": "blank", "match": {"model": "black-forest-labs/flux-schnell"}}
    httpx.post(f"{sandbox.url}/sandbox/faults", json={"faults": [fault]}).raise_for_status()
    try:
        done = cli("generate", "--prompt", "red-house")
    finally:
        httpx.delete(f"{sandbox.url}/sandbox/faults").raise_for_status()
    assert done.code == 1
    charged = _charged(workspace)
    assert charged > 0
    assert f"{format_usd(MicroUsd(charged))} paid" in done.err
    assert "stays reserved" not in done.out
    assert cli("generate").code == 1
    again = cli("generate", "--json")
    assert (again.code, again.json["failed_before"], again.json["prompts"]) == (1, 1, 0)
    assert cli("generate", "--failed").code == 0
    assert cli("generate").code == 0


def test_a_bad_prompt_never_stops_the_good_ones(cli: Cli, workspace: Workspace) -> None:
    """A prompt that cannot be read is named on stderr and counts as a failure: exit 1."""
    workspace.write("audio/bad.yaml", "prompts: [{id: x, text: y, model: no/such}]\n")
    done = cli("generate", "--kind", "audio", "--json")
    assert done.code == 1
    assert done.json["done"] == 1
    assert done.json["unreadable"] == 1
    assert "audio/bad.yaml" in done.err


def test_force_asks_before_it_pays_again(cli: Cli, sandbox: Sandbox) -> None:
    """With nobody to say yes nothing is paid; `--yes` makes the clip anew."""
    assert cli("generate", "--prompt", "hello").code == 0
    before = sandbox.bill()
    refused = cli("generate", "--prompt", "hello", "--force")
    assert refused.code == 2
    assert "Pay again for 1 clips, at most $0.000008" in refused.err
    assert _bill_since(sandbox, before)[0] == 0
    assert cli("generate", "--prompt", "hello", "--force", "--yes").code == 0
    assert _bill_since(sandbox, before)[0] == 1


def test_a_store_that_takes_nothing_loses_nothing(
    cli: Cli, workspace: Workspace, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that cannot be written fails by name, unpaid; when it is mended, it is paid once."""
    impatient = functools.partial(build_defs, retries=dg.RetryPolicy(max_retries=1, delay=0))
    monkeypatch.setattr(_runs, "build_defs", impatient)
    before = sandbox.bill()
    blocked = workspace.root / "blocked"
    blocked.write_text("a file where the folder should be")
    env = {"ASSET_PIPELINE_STORE_URL": str(blocked / "clips")}
    done = cli("generate", "--kind", "audio", "--json", env=env)
    assert done.code == 1
    (failure,) = done.json["failures"]
    assert failure["class"] == "server_error"
    assert "Mend the store" in failure["hint"]
    assert _bill_since(sandbox, before)[0] == 0
    blocked.unlink()
    assert cli("generate", "--failed", env=env).code == 0
    assert _bill_since(sandbox, before)[0] == 1


def test_a_full_disk_is_a_sentence_and_loses_nothing(
    workspace: Workspace, sandbox: Sandbox
) -> None:
    """When files cannot grow the command ends with a sentence; with room it pays once."""
    before = sandbox.bill()
    # A measuring child could not write its own figures either, and would say so in a traceback.
    unmeasured = {"COVERAGE_PROCESS_CONFIG": ""}
    full = workspace.run("generate", "--kind", "audio", shell="ulimit -f 200", env=unmeasured)
    assert full.code in {1, 2}
    assert "full" in full.err or "written" in full.err or "cannot be used" in full.err, full.err
    assert "Traceback" not in full.err
    assert workspace.run("generate", "--kind", "audio", "--all").code == 0
    assert _bill_since(sandbox, before)[0] == 1


def test_demo_shows_costs_counts_and_what_to_do_next(cli: Cli) -> None:
    """The demo generates all, even when a token is set, and its second run pays nothing."""
    first = cli("demo", env={"REPLICATE_API_TOKEN": "r8_wrong"})
    assert first.code == 0, first.err
    assert "Costs by model" in first.out
    for word in ("pictures", "sounds", "index.html", "warehouse.duckdb", "make dev"):
        assert word in first.out
    assert "Nothing was paid" in cli("demo").out
