"""How a `generate` ended: the summary, the failures by cause, and the exit code."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from asset_pipeline.cli._output import say, show_table, stdout, write_json
from asset_pipeline.cli._tally import Tally
from asset_pipeline.errors import AssetPipelineError, ExitCode
from asset_pipeline.generation.failures import GenerationFailure
from asset_pipeline.ledger.failed_prompts import HowEnded
from asset_pipeline.money import MicroUsd, format_usd, to_decimal
from asset_pipeline.prompts.states import PromptKey

_CAUSES_SHOWN = 20
_PROMPTS_NAMED = 3
_MESSAGE_SHOWN = 300


@dataclass(frozen=True, slots=True)
class Summary:
    """What a command did.

    Attributes:
        paid: What the provider is owed for it, failed attempts included.
        problems: Prompts that could not even be read.
        failed_before: Chosen prompts that failed earlier and were not tried again.
        take_up: The command that takes those up.
        finished: Open predictions of earlier commands that were finished first.
        seconds: The whole command.
        broken: What ended it early.
    """

    tally: Tally
    paid: MicroUsd
    problems: int
    seconds: float
    gallery: Path
    warehouse: Path
    broken: AssetPipelineError | None = None
    failed_before: int = 0
    take_up: str = ""
    finished: int = 0

    @property
    def exit_code(self) -> ExitCode:
        """The code that the command ends with."""
        if self.tally.refused_by_budget:
            return ExitCode.BUDGET
        if self.broken is not None:
            return self.broken.exit_code
        failed = self.problems or self.failed_before or self.tally.done < self.tally.prompts
        return ExitCode.SOME_FAILED if failed else ExitCode.DONE


@dataclass(frozen=True, slots=True)
class _Cause:
    """A reason for failing, and whom it befell."""

    error_class: str
    message: str
    hint: str


def show_summary(summary: Summary) -> None:
    """Print the tables of a command that ran."""
    console = stdout()
    tally = summary.tally
    if tally.failures:
        show_failures(tally)
    show_table(
        console,
        "Summary",
        ["", ""],
        [
            ("prompts done", f"{tally.done:,} of {tally.prompts:,}"),
            ("prompts failed", f"{tally.count(HowEnded.FAILED):,}"),
            *_beside(summary),
            ("prompts unreadable", f"{summary.problems:,}"),
            ("clips generated", f"{tally.generated:,}"),
            ("clips cached", f"{tally.cached:,}"),
            ("paid", format_usd(summary.paid)),
            ("seconds", f"{summary.seconds:.1f}"),
            ("gallery", summary.gallery),
            ("warehouse", summary.warehouse),
        ],
    )
    if summary.failed_before:
        say(console, _left_out(summary), "yellow")
    if tally.prompts and not summary.paid and not tally.failures:
        say(console, "Nothing was paid: every clip was stored already.", "bold green")


def write_summary(summary: Summary) -> None:
    """Write the same as one JSON document."""
    tally = summary.tally
    write_json(
        {
            "prompts": tally.prompts,
            "done": tally.done,
            "failed": tally.count(HowEnded.FAILED),
            "refused": tally.count(HowEnded.REFUSED),
            "cancelled": tally.count(HowEnded.CANCELLED),
            "failed_before": summary.failed_before,
            "open_finished": summary.finished,
            "unreadable": summary.problems,
            "clips_generated": tally.generated,
            "clips_cached": tally.cached,
            "paid_usd": to_decimal(summary.paid),
            "seconds": round(summary.seconds, 3),
            "gallery": summary.gallery,
            "warehouse": summary.warehouse,
            "failures": [
                {
                    "kind": kind,
                    "prompt_id": prompt_id,
                    "ended": tally.ended[kind, prompt_id],
                    "class": cause.error_class,
                    "message": cause.message,
                    "hint": cause.hint,
                }
                for (kind, prompt_id), causes in tally.failures.items()
                for cause in _distinct(causes)
            ],
        }
    )


def _beside(summary: Summary) -> Iterator[tuple[str, str]]:
    """Yield the lines of what need not have happened."""
    tally = summary.tally
    if refused := tally.count(HowEnded.REFUSED):
        yield "prompts refused by a budget", f"{refused:,}"
    if cancelled := tally.count(HowEnded.CANCELLED):
        yield "prompts cancelled", f"{cancelled:,}"
    if summary.failed_before:
        yield "prompts that failed earlier", f"{summary.failed_before:,}"
    if summary.finished:
        yield "open predictions finished first", f"{summary.finished:,}"


def _left_out(summary: Summary) -> str:
    count = summary.failed_before
    return (
        f"{count:,} of the chosen prompts failed earlier and {'was' if count == 1 else 'were'} not "
        f"tried again: `{summary.take_up}` takes them up."
    )


def show_failures(tally: Tally) -> None:
    """Print why prompts failed or were refused, each cause once, however many it befell."""
    befallen: dict[_Cause, list[PromptKey]] = {}
    for key, causes in tally.failures.items():
        for cause in _distinct(causes):
            befallen.setdefault(cause, []).append(key)
    rows = [
        (_named(keys), cause.error_class, cause.message[:_MESSAGE_SHOWN], cause.hint)
        for cause, keys in befallen.items()
    ]
    console = stdout()
    show_table(
        console,
        _title(tally),
        ["prompt", "class", "what happened", "what to do"],
        rows[:_CAUSES_SHOWN],
    )
    if len(rows) > _CAUSES_SHOWN:
        more = len(rows) - _CAUSES_SHOWN
        say(console, f'... and {more:,} more: `asset-pipeline sql "FROM failures"` has them all.')


def _title(tally: Tally) -> str:
    words = {
        HowEnded.FAILED: "failed",
        HowEnded.REFUSED: "refused by a budget",
        HowEnded.CANCELLED: "cancelled",
    }
    counts = [f"{count:,} prompts {words[how]}" for how in HowEnded if (count := tally.count(how))]
    return ", ".join(counts)


def _distinct(causes: Iterable[GenerationFailure]) -> list[_Cause]:
    """Return the causes of a prompt's variants, equal ones once."""
    found = (_Cause(cause.error_class, cause.message, cause.hint) for cause in causes)
    return list(dict.fromkeys(found))


def _named(keys: list[PromptKey]) -> str:
    names = [f"{kind}/{prompt_id}" for kind, prompt_id in keys[:_PROMPTS_NAMED]]
    more = len(keys) - len(names)
    return "\n".join([*names, *([f"and {more:,} more"] if more else [])])
