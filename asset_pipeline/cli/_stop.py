"""How a command came to a stop: one sentence on what was made, what is left and what goes on.

A cap that was reached is no failure, and nor is Ctrl-C: each is told with the command that goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from asset_pipeline.generation.failures import ErrorClass
from asset_pipeline.ledger.budget_scopes import is_of_run
from asset_pipeline.ledger.failed_prompts import HowEnded
from asset_pipeline.money import MicroUsd, format_usd

if TYPE_CHECKING:
    from asset_pipeline.cli._summary import Tally


class StopKind(StrEnum):
    """Why a command did not make everything."""

    MAX_USD = "max_usd"
    BUDGET = "budget"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Commands:
    """What to type next.

    Attributes:
        go_on: Makes what is left.
        take_up: Tries again what failed.
    """

    go_on: str = ""
    take_up: str = ""


@dataclass(frozen=True, slots=True)
class Stop:
    """One reason why a command did not make everything.

    Attributes:
        sentence: For people.
        command: What goes on from here.
    """

    kind: StopKind
    sentence: str
    command: str


def stops_of(
    tally: Tally, paid: MicroUsd, left_open: int, max_usd: MicroUsd | None, commands: Commands
) -> Iterator[Stop]:
    """Yield why a command that ran to its end did not make everything; nothing if it did.

    Args:
        tally: What became of the prompts.
        paid: What the command was charged, in micro-dollars.
        left_open: Predictions that are open in the ledger now.
        max_usd: The command's own cap, if it had one.
        commands: What to type next.
    """
    so_far = _so_far(tally, paid, left_open)
    budgets = _budgets(tally)
    own = {budget for budget in budgets if max_usd is not None and is_of_run(budget)}
    if own and max_usd is not None:
        sentence = (
            f"Stopped at --max-usd {format_usd(max_usd)}: {so_far}. "
            f"`{commands.go_on}` goes on, with a cap of its own."
        )
        yield Stop(StopKind.MAX_USD, sentence, commands.go_on)
    if others := sorted(budgets - own):
        names = ", ".join(_named(budget) for budget in others)
        sentence = (
            f"Stopped by {names}: {so_far}. Raise the cap in budgets.yaml or wait until the "
            f"budget is renewed, then `{commands.go_on}` goes on."
        )
        yield Stop(StopKind.BUDGET, sentence, commands.go_on)
    if failed := tally.count(HowEnded.FAILED):
        sentence = f"{_many(failed, 'prompt')} failed: {so_far}. `{commands.take_up}` tries "
        sentence += "it again." if failed == 1 else "them again."
        yield Stop(StopKind.FAILED, sentence, commands.take_up)


def interruption(tally: Tally, paid: MicroUsd, left_open: int, commands: Commands) -> Stop:
    """Return how Ctrl-C left things."""
    sentence = f"Interrupted: {_so_far(tally, paid, left_open)}. `{commands.go_on}` goes on"
    sentence += ", finishes what is open first and pays for none twice." if left_open else "."
    return Stop(StopKind.INTERRUPTED, sentence, commands.go_on)


def _so_far(tally: Tally, paid: MicroUsd, left_open: int) -> str:
    made = _many(tally.generated, "clip")
    was = "was" if tally.generated == 1 else "were"
    parts = [f"{made} {was} made for {format_usd(paid)}"]
    unsent = tally.clips - tally.landed - tally.failed - left_open
    if unsent > 0:
        parts.append(f"{_many(unsent, 'clip')} {'was' if unsent == 1 else 'were'} not started")
    is_are = "is" if left_open == 1 else "are"
    still_open = f"{_many(left_open, 'prediction')} {is_are} open in the ledger"
    parts.append(still_open if left_open else "nothing is open")
    return ", ".join(parts)


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _budgets(tally: Tally) -> set[str]:
    """Return the budgets that refused something."""
    return {
        cause.cause
        for causes in tally.failures.values()
        for cause in causes
        if cause.error_class is ErrorClass.BUDGET
    }


def _named(budget: str) -> str:
    return "the cap of a run" if is_of_run(budget) else f"the budget {budget}"
