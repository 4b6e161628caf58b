"""Budgets as people meet them: caps that vanish, caps that come late, charges set right."""

from __future__ import annotations

from collections.abc import Callable

from asset_pipeline_tests.cli.conftest import Done, Sandbox, Workspace
from asset_pipeline_tests.support.settled_files import write_settled

Cli = Callable[..., Done]


def test_a_cap_that_comes_late_or_vanishes_lets_nothing_through(
    cli: Cli, sandbox: Sandbox, workspace: Workspace
) -> None:
    """What was spent counts for a cap set afterwards; an emptied file blocks until {} is there."""
    env = {"REPLICATE_BASE_URL": sandbox.url}
    assert cli("generate", "--prompt", "red-house", env=env).code == 0
    caps = workspace.root / "config" / "budgets.yaml"
    caps.parent.mkdir(exist_ok=True)
    write_settled(caps, "monthly_usd: 0.003\n")
    done = cli("generate", "--prompt", "blue-boat", env=env)
    assert (done.code, "monthly:" in done.out) == (3, True), done.out
    write_settled(caps, "")
    done = cli("generate", "--prompt", "blue-boat", env=env)
    assert (done.code, "is empty" in done.err, "write {} into" in done.err) == (2, True, True)
    assert cli("plan", "--all", env=env).code == 2
    caps.unlink()
    done = cli("generate", "--prompt", "blue-boat", env=env)
    assert (done.code, "is gone" in done.err) == (2, True), done.err
    write_settled(caps, "{}\n")
    assert cli("generate", "--prompt", "blue-boat", "--failed", env=env).code == 0


def test_a_charge_is_set_right_by_command(cli: Cli, sandbox: Sandbox) -> None:
    """The books agree afterwards; status, costs and audit show who said so and why."""
    env = {"REPLICATE_BASE_URL": sandbox.url}
    assert cli("generate", "--prompt", "red-house", env=env).code == 0
    found = cli("sql", "SELECT intent_id FROM predictions", "--json").json
    intent_id = found[0]["intent_id"]
    done = cli("ledger", "correct", intent_id[:10], "--usd", "0.5", "--because", "invoice 12")
    assert (done.code, "$0.003 is $0.50 now" in done.out) == (0, True), done.err
    audit = cli("audit", "--json")
    assert (audit.code, audit.json["mismatches"]) == (0, [])
    (noted,) = audit.json["charges_to_look_at"]
    assert (noted["charged_usd"], "invoice 12" in noted["note"]) == ("0.500000", True)
    for command in ("status", "costs", "audit"):
        assert "invoice 12" in cli(command).out, command
    assert cli("ledger", "correct", intent_id, "--usd", "x", "--because", "y").code == 2
