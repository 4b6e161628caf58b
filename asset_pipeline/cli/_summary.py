"""What a `generate` came to: counted while it runs, summed up at its end, and its exit code."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from asset_pipeline.cli._output import say, show_table, stdout, write_json
from asset_pipeline.cli._stop import Commands, Stop, StopKind, stops_of
from asset_pipeline.errors import AssetPipelineError, ExitCode
from asset_pipeline.generation.batch import PromptOutcome
from asset_pipeline.generation.failures import ErrorClass, GenerationFailure
from asset_pipeline.ledger.failed_prompts import HowEnded
from asset_pipeline.money import MicroUsd, format_usd, to_decimal
from asset_pipeline.prompts.spec import Prompt
from asset_pipeline.prompts.states import PromptKey


@dataclass(frozen=True, slots=True)
class _Latest:
    """How a prompt ended the last time it was tried, in clips."""

    landed: int
    failed: int
    refused: int


@dataclass(slots=True)
class Tally:
    """Counts outcomes; a prompt that is tried again counts as it ended last.

    Attributes:
        prompts: Prompts wanted.
        clips: Clips wanted, variants counted.
        done: Prompts whose clips all landed.
        landed: Clips that did.
        failed: Clips that did not.
        refused: Clips that a budget refused: nothing was sent for them.
        generated: Clips made by this command.
        paid: Micro-dollars paid, for what failed too; set by whoever asks the ledger, it is exact.
        failures: Why the prompts that have not landed did not.
        ended: How they ended.
        changed: Called after each change.
        waiting: Returns how many clips wait for reserved money to come back.
    """

    prompts: int = 0
    clips: int = 0
    done: int = 0
    landed: int = 0
    failed: int = 0
    refused: int = 0
    generated: int = 0
    paid: int = 0
    failures: dict[PromptKey, tuple[GenerationFailure, ...]] = field(
        default_factory=dict[PromptKey, tuple[GenerationFailure, ...]]
    )
    ended: dict[PromptKey, HowEnded] = field(default_factory=dict[PromptKey, HowEnded])
    changed: Callable[[], None] | None = None
    waiting: Callable[[], int] = lambda: 0
    _latest: dict[PromptKey, _Latest] = field(default_factory=dict[PromptKey, _Latest])

    def want(self, prompts: Sequence[Prompt]) -> None:
        """Set what there is to do."""
        self.prompts = len(prompts)
        self.clips = sum(prompt.variants for prompt in prompts)

    def add(self, outcome: PromptOutcome) -> None:
        """Count one outcome in the place of the prompt's earlier one."""
        key = (outcome.prompt.kind, outcome.prompt.prompt_id)
        before = self._latest.get(key, _Latest(0, 0, 0))
        refused = sum(cause.error_class is ErrorClass.BUDGET for cause in outcome.failures)
        now = _Latest(len(outcome.landed), len(outcome.failures) - refused, refused)
        self._latest[key] = now
        self.landed += now.landed - before.landed
        self.failed += now.failed - before.failed
        self.refused += now.refused - before.refused
        self.generated += sum(not landed.cached for landed in outcome.landed)
        self.paid += outcome.paid
        if outcome.done:
            self.done += 1
            self.failures.pop(key, None)
            self.ended.pop(key, None)
        else:
            self.failures[key] = tuple(outcome.failures)
            self.ended[key] = outcome.how
        if self.changed is not None:
            self.changed()

    def settle(self, paid: MicroUsd) -> None:
        """Take what the ledger says was paid, failed attempts and finished predictions among it."""
        self.paid = paid
        if self.changed is not None:
            self.changed()

    def count(self, how: HowEnded) -> int:
        """Return how many prompts ended so."""
        return sum(each is how for each in self.ended.values())

    @property
    def cached(self) -> int:
        """Clips that were stored before this command."""
        return self.landed - self.generated

    @property
    def refused_by_budget(self) -> bool:
        """Whether a budget stood in the way of any."""
        return any(
            cause.error_class is ErrorClass.BUDGET
            for causes in self.failures.values()
            for cause in causes
        )


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
        commands: What to type next.
        max_usd: The command's own cap, if it had one.
        left_open: Predictions that are open in the ledger at its end.
        finished: Open predictions of earlier commands that were finished first.
        seconds: The whole command.
        broken: What ended it early.
        desk: Where the clips are reviewed; None without a service.
    """

    tally: Tally
    paid: MicroUsd
    problems: int
    seconds: float
    gallery: Path
    warehouse: Path
    broken: AssetPipelineError | None = None
    failed_before: int = 0
    commands: Commands = field(default_factory=Commands)
    max_usd: MicroUsd | None = None
    left_open: int = 0
    finished: int = 0
    desk: str | None = None

    @property
    def stops(self) -> list[Stop]:
        """Why not everything was made; empty if it was."""
        return list(stops_of(self.tally, self.paid, self.left_open, self.max_usd, self.commands))

    @property
    def exit_code(self) -> ExitCode:
        """The code that the command ends with."""
        if self.tally.refused_by_budget:
            return ExitCode.BUDGET
        if self.broken is not None:
            return self.broken.exit_code
        failed = self.problems or self.failed_before or self.tally.done < self.tally.prompts
        return ExitCode.SOME_FAILED if failed else ExitCode.DONE

    def show(self, *, as_json: bool) -> None:
        """Print it, as tables or as one JSON document."""
        if as_json:
            _write(self)
        else:
            _show(self)


@dataclass(frozen=True, slots=True)
class _Cause:
    """A reason for failing, and whom it befell."""

    error_class: str
    message: str
    hint: str


def _show(summary: Summary) -> None:
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
            *([] if summary.desk is None else [("review", summary.desk)]),
        ],
    )
    for stop in summary.stops:
        say(console, stop.sentence, "red" if stop.kind is StopKind.FAILED else "yellow")
    if summary.failed_before:
        say(console, _left_out(summary), "yellow")
    if tally.prompts and not summary.paid and not tally.failures:
        say(console, "Nothing was paid: every clip was stored already.", "bold green")


def _write(summary: Summary) -> None:
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
            "open": summary.left_open,
            "stops": [
                {"why": stop.kind, "sentence": stop.sentence, "next": stop.command}
                for stop in summary.stops
            ],
            **({} if summary.desk is None else {"review": summary.desk}),
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
        yield "prompts not started", f"{refused:,}"
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
        f"tried again: `{summary.commands.take_up}` takes them up."
    )


def show_failures(tally: Tally) -> None:
    """Print why prompts failed, each cause once, however many it befell.

    What a budget refused failed at nothing: the end of the summary tells of it.
    """
    befallen: dict[_Cause, list[PromptKey]] = {}
    for key, causes in tally.failures.items():
        for cause in _distinct(causes):
            if cause.error_class != ErrorClass.BUDGET:
                befallen.setdefault(cause, []).append(key)
    if not befallen:
        return
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
        HowEnded.CANCELLED: "cancelled",
    }
    counts = [f"{count:,} prompts {words[how]}" for how in words if (count := tally.count(how))]
    return ", ".join(counts)


def _distinct(causes: Iterable[GenerationFailure]) -> list[_Cause]:
    """Return the causes of a prompt's variants, equal ones once."""
    found = (_Cause(cause.error_class, cause.message, cause.hint) for cause in causes)
    return list(dict.fromkeys(found))


def _named(keys: list[PromptKey]) -> str:
    names = [f"{kind}/{prompt_id}" for kind, prompt_id in keys[:_PROMPTS_NAMED]]
    more = len(keys) - len(names)
    return "\n".join([*names, *([f"and {more:,} more"] if more else [])])
