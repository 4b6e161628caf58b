"""Generating: choose, run the Dagster jobs in this process, publish, sum up.

`generate` and both forms of `demo` do this; what they show of it is theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import typer
from dagster import DagsterInstance

from asset_pipeline.cli._charges import show_charges
from asset_pipeline.cli._context import CliContext, open_context, show_problems
from asset_pipeline.cli._ledger import open_ledger, read_caps
from asset_pipeline.cli._output import say, stderr
from asset_pipeline.cli._progress import showing
from asset_pipeline.cli._runs import CommandRunOptions, Runner, cancel_dead_runs, sync_library
from asset_pipeline.cli._selection import PromptSelection
from asset_pipeline.cli._stages import generate_in_stages
from asset_pipeline.cli._stop import Commands, interruption
from asset_pipeline.cli._summary import Summary, Tally
from asset_pipeline.cli.generate import GenerateOptions
from asset_pipeline.cli.plan import plan_of
from asset_pipeline.clock import Clock, SystemClock
from asset_pipeline.defs.instance.access import open_instance
from asset_pipeline.defs.prompt_states import standing_of
from asset_pipeline.defs.resources.store import StoreResource
from asset_pipeline.desk_links import queue_link
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.generation.reconciliation.resume import ResumeResult
from asset_pipeline.generation.retry.rules_file import load_rules
from asset_pipeline.ledger.reports import LedgerReader
from asset_pipeline.ledger.schema import IntentState
from asset_pipeline.money import MicroUsd, format_usd
from asset_pipeline.prompts.spec import Prompt
from asset_pipeline.prompts.states import PromptKey, PromptState, PromptStates
from asset_pipeline.tracing.otlp import start_tracing
from asset_pipeline.tracing.spans import span

INTERRUPTED = 130
"""What a shell says of a command that Ctrl-C ended."""


def make(orders: GenerateOptions) -> Summary:
    """Generate and publish, with progress on stderr.

    Raises:
        AssetPipelineError: Nothing could be run.
        typer.Exit: It was interrupted.
    """
    clock = SystemClock()
    started = clock.monotonic()
    workshop = open_context()
    start_tracing(workshop.settings.otlp_endpoint, "command")
    with span("generate"):
        return _make(orders, workshop, clock, started)


def _make(orders: GenerateOptions, workshop: CliContext, clock: Clock, started: float) -> Summary:
    show_problems(workshop.library)
    load_rules(workshop.settings.config_dir)
    with open_ledger(workshop.settings) as ledger, open_instance() as instance:
        # A wrong file is told before anything starts.
        read_caps(workshop.settings, ledger)
        _check_store(ledger)
        tally, commands = Tally(), Commands(orders.choice.go_on(), orders.choice.take_up())
        runner = Runner(instance, ledger, tally.add)
        tally.waiting = runner.waiting
        try:
            chosen = _choose(orders, workshop, instance, runner)
            _confirm(orders, workshop, ledger, chosen.prompts)
            tally.want(chosen.prompts)
            broken = _run(runner, tally, chosen.prompts, orders)
        except KeyboardInterrupt:
            _tell_interrupted(ledger, tally, runner.charged(), commands)
            raise typer.Exit(INTERRUPTED) from None
        return Summary(
            tally=tally,
            paid=runner.charged(),
            problems=len(workshop.library.problems),
            seconds=clock.monotonic() - started,
            gallery=workshop.settings.gallery_path,
            warehouse=workshop.settings.warehouse_path,
            broken=broken,
            failed_before=len(chosen.left_out),
            commands=commands,
            max_usd=orders.max_usd,
            left_open=_open(ledger),
            finished=chosen.finished,
            desk=queue_link(workshop.settings.service_url),
        )


def _check_store(ledger: LedgerReader) -> None:
    """Make sure that ledger and store belong together, whatever Dagster remembers of the prompts.

    Raises:
        AssetPipelineError: They don't, or the store can't be read.
    """
    resource = StoreResource()
    moved = resource.belonging(resource.open(), ledger.engine).check(claim=True)
    if moved:
        say(stderr(), moved, "yellow")


@dataclass(frozen=True, slots=True)
class _Chosen:
    """What a command works on.

    Attributes:
        left_out: Named prompts that failed earlier and are not tried again.
        finished: Open predictions of earlier commands that were finished before anything else.
    """

    prompts: Sequence[Prompt]
    left_out: Sequence[Prompt]
    finished: int


def _choose(
    orders: GenerateOptions, workshop: CliContext, instance: DagsterInstance, runner: Runner
) -> _Chosen:
    """Bring Dagster and the ledger up to date and return the prompts that are to be made."""
    cancel_dead_runs(instance, runner.ledger)
    sync_library(instance, workshop.library)
    delivered = _finish_open(runner)
    library, ledger = workshop.library, runner.ledger
    states = standing_of(instance, library.prompts.values(), ledger.engine)
    prompts = orders.choice.take(library, lambda: states)
    if orders.rollout is not None:
        prompts = prompts[: orders.rollout.ends[-1]]
    # What was paid for by whatever command is shown by Dagster, for nothing.
    known = {(prompt.kind, prompt.prompt_id) for prompt in prompts}
    for key in delivered:
        prompt = library.prompts.get(key)
        if prompt is not None and key not in known and costs_nothing(prompt, workshop, ledger):
            prompts = [*prompts, prompt]
            known.add(key)
    left_out = [
        prompt
        for prompt in orders.choice.left_out(library, states)
        if (prompt.kind, prompt.prompt_id) not in known
    ]
    if not prompts:
        _tell_nothing_chosen(orders.choice, workshop, states)
    return _Chosen(prompts, left_out, len(delivered))


def _finish_open(runner: Runner) -> list[PromptKey]:
    """Finish what earlier commands left open, of any prompt, before anything new is paid for.

    Returns:
        The prompts of the clips that came of it.
    """
    now = SystemClock().now()
    left = [
        each for each in runner.ledger.stale(now, now) if each.state is not IntentState.QUESTION
    ]
    if not left:
        return []
    say(stderr(), f"{len(left):,} predictions of earlier runs are open: they are finished first.")
    resumed = runner.finish_open()
    still_open = sum(each.result is ResumeResult.OPEN for each in resumed)
    if still_open:
        say(
            stderr(),
            f"{still_open:,} can't be finished now: `asset-pipeline reconcile` says why.",
            "yellow",
        )
    return [
        (each.intent.kind, each.intent.prompt_id)
        for each in resumed
        if each.result is ResumeResult.DELIVERED
    ]


def costs_nothing(prompt: Prompt, workshop: CliContext, ledger: LedgerReader) -> bool:
    """Tell whether all clips of a prompt are stored as it wants them now."""
    plan = plan_of([prompt], workshop, ledger)
    return plan.cached == plan.clips


def _run(
    runner: Runner, tally: Tally, prompts: Sequence[Prompt], orders: GenerateOptions
) -> AssetPipelineError | None:
    """Run the clips and publish; return what ended it early, if it got anywhere at all."""
    options = CommandRunOptions(orders.max_usd, orders.max_in_flight, force=orders.force)
    stopped = None
    try:
        if prompts:
            with showing(tally, SystemClock()) as update:
                tally.changed = update
                try:
                    stopped = generate_in_stages(runner, tally, prompts, options, orders.rollout)
                finally:
                    # Landed clips tell what they cost; failed ones and their retries don't.
                    tally.settle(runner.charged())
            for warning in runner.warnings:
                say(stderr(), warning, "yellow")
            show_charges(stderr(), runner.noted_charges())
        runner.publish()
    except AssetPipelineError as error:
        if not tally.landed and not tally.failures:
            raise
        return error
    return stopped


def _confirm(
    orders: GenerateOptions, workshop: CliContext, ledger: LedgerReader, prompts: Sequence[Prompt]
) -> None:
    """Ask before clips are paid for again.

    Raises:
        AssetPipelineError: The person said no, or nobody is there to ask.
    """
    if not (orders.force and orders.ask and prompts):
        return
    plan = plan_of(prompts, workshop, ledger, force=True)
    question = (
        f"Pay again for {plan.to_generate:,} clips, at most {format_usd(plan.worst_case)} in all?"
    )
    try:
        agreed = typer.confirm(question, err=True)
    except typer.Abort:
        agreed = False
    if not agreed:
        raise AssetPipelineError("Nothing was generated.", hint="--yes answers for you.")


def _tell_nothing_chosen(
    choice: PromptSelection, workshop: CliContext, states: PromptStates
) -> None:
    prompts = workshop.library.prompts.values()
    line = f"Nothing to generate: no prompt is {choice.describe()}."
    failed = sum(states.of(prompt) is PromptState.FAILED for prompt in prompts)
    stale = sum(states.is_stale(prompt) for prompt in prompts)
    if failed:
        line += f" {failed:,} failed: --failed takes them up."
    if stale:
        line += f" {stale:,} were edited after their clips landed: --stale makes them anew."
    say(stderr(), line, "bold")


def _open(ledger: LedgerReader) -> int:
    """Return how many predictions are open that the next command finishes."""
    groups = ledger.open_intents()
    return sum(group.count for group in groups if group.state is not IntentState.QUESTION)


def _tell_interrupted(
    ledger: LedgerReader, tally: Tally, paid: MicroUsd, commands: Commands
) -> None:
    groups = ledger.open_intents()
    questions = sum(group.count for group in groups if group.state is IntentState.QUESTION)
    line = interruption(tally, paid, _open(ledger), commands).sentence
    if questions:
        line += f" {questions:,} wait for a person: `asset-pipeline reconcile` tells of them."
    say(stderr(), line, "yellow")
