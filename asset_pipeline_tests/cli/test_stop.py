"""What a command says when it did not make everything."""

from __future__ import annotations

from typing import Any, cast

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.cli._selection import PromptSelection
from asset_pipeline.cli._stop import Commands, StopKind, interruption, stops_of
from asset_pipeline.cli._summary import Tally
from asset_pipeline.generation.batch import PromptOutcome
from asset_pipeline.generation.failures import ErrorClass, GenerationFailure
from asset_pipeline.generation.payment.recorder import Landed
from asset_pipeline.money import MicroUsd
from asset_pipeline_tests.support.ledger_rows import prompt

COMMANDS = Commands("asset-pipeline generate", "asset-pipeline generate --failed")
LANDED = Landed(cast("Any", None), cast("Any", None), MicroUsd(3000), cached=False)


def tally_of(*failures: GenerationFailure | None) -> Tally:
    """Prompts of two clips: each landed, or ended by a failure of both."""
    tally = Tally()
    prompts = [prompt(f"p{number}") for number in range(len(failures))]
    tally.want(prompts)
    for each, failure in zip(prompts, failures, strict=True):
        landed, failed = ([LANDED] * 2, []) if failure is None else ([], [failure] * 2)
        tally.add(PromptOutcome(each, landed, failed))
    return tally


def refused(budget: str) -> GenerationFailure:
    """A budget's refusal."""
    return GenerationFailure(ErrorClass.BUDGET, "no room", cause=budget)


def test_each_stop_has_its_sentence() -> None:
    """A command's own cap, another budget and a failure: each with what goes on from there."""
    failure = GenerationFailure(ErrorClass.NETWORK, "gone")
    tally = tally_of(None, refused("run:command-1"), refused("daily:2026-11-28"), failure)
    stops = list(stops_of(tally, MicroUsd(6000), 0, MicroUsd(10_000), COMMANDS))
    assert [stop.kind for stop in stops] == [StopKind.MAX_USD, StopKind.BUDGET, StopKind.FAILED]
    own, budget, failed = (stop.sentence for stop in stops)
    made = "2 clips were made for $0.006, 4 clips were not started, nothing is open."
    assert own.startswith(f"Stopped at --max-usd $0.01: {made} `asset-pipeline generate` goes on")
    assert budget.startswith(f"Stopped by the budget daily:2026-11-28: {made} Raise the cap")
    assert failed == f"1 prompt failed: {made} `asset-pipeline generate --failed` tries it again."


def test_an_end_without_a_stop_says_nothing() -> None:
    """All was made."""
    assert not list(stops_of(tally_of(None), MicroUsd(6000), 0, None, COMMANDS))


def test_ctrl_c_counts_what_is_open_as_started() -> None:
    """One prompt landed; of the other's two clips one is at the provider."""
    tally = tally_of(None)
    tally.want([prompt("p0"), prompt("p1")])
    stop = interruption(tally, MicroUsd(6000), 1, COMMANDS)
    assert stop.sentence == (
        "Interrupted: 2 clips were made for $0.006, 1 clip was not started, 1 prediction is open "
        "in the ledger. `asset-pipeline generate` goes on, finishes what is open first and pays "
        "for none twice."
    )


def test_the_command_that_goes_on_can_be_pasted() -> None:
    """It names what was chosen, and a tag of two words stays one."""
    choice = PromptSelection(
        kinds=[Kind.IMAGE], tags=["to do"], collections=["kit"], stale=True, limit=5
    )
    names = "--kind image --collection kit --tag 'to do'"
    assert choice.go_on() == f"asset-pipeline generate {names} --stale --limit 5"
    assert choice.take_up() == f"asset-pipeline generate --failed {names}"
