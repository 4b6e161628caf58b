"""What `instance repair` does: Dagster's partitions against the ledger, both ways."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from dagster import DagsterInstance

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.cli._context import CliContext, open_context, show_problems
from asset_pipeline.cli._generation import costs_nothing
from asset_pipeline.cli._ledger import open_ledger
from asset_pipeline.cli._output import say, stdout, write_json
from asset_pipeline.cli._runs import CommandRunOptions, Runner, cancel_dead_runs, sync_library
from asset_pipeline.defs.instance.access import open_instance
from asset_pipeline.defs.lost_clips import show_lost
from asset_pipeline.defs.prompt_states import read_states, standing_of
from asset_pipeline.ledger.reports import LedgerReader
from asset_pipeline.money import MicroUsd
from asset_pipeline.prompts.spec import Prompt
from asset_pipeline.prompts.states import PromptState

_NOTHING = MicroUsd(0)


@dataclass(frozen=True, slots=True)
class RepairReport:
    """What was, or would be, brought in line.

    Attributes:
        dry_run: Whether nothing was done.
        shown: Prompts whose clips are stored and now show as landed, as ``kind/id``.
        taken_back: Prompts that showed as landed and whose clips the ledger does not know.
        not_shown: Prompts whose clips are stored and still don't show.
        ended_runs: Runs whose process is gone and that showed as running.
    """

    dry_run: bool
    shown: list[str]
    taken_back: list[str]
    not_shown: list[str]
    ended_runs: int


def repair_instance(*, dry_run: bool) -> RepairReport:
    """Hold Dagster against the ledger, and change what differs.

    Raises:
        AssetPipelineError: Ledger, store or instance can't be opened.
    """
    context = open_context()
    show_problems(context.library)
    with open_ledger(context.settings) as ledger, open_instance() as instance:
        ended = 0
        if not dry_run:
            ended = cancel_dead_runs(instance, ledger)
            sync_library(instance, context.library)
        stored, unknown = _differences(instance, context, ledger)
        failed: set[str] = set()
        if not dry_run:
            failed = _show_stored(Runner(instance, ledger, lambda _: None), instance, stored)
            _take_back(instance, unknown)
        return RepairReport(
            dry_run=dry_run,
            shown=[name for name in map(_name, stored) if name not in failed],
            taken_back=list(map(_name, unknown)),
            not_shown=sorted(failed),
            ended_runs=ended,
        )


def show_repair(report: RepairReport, *, as_json: bool) -> None:
    """Say what became of it."""
    if as_json:
        write_json(asdict(report))
        return
    would = "would be " if report.dry_run else ""
    console = stdout()
    say(console, f"{len(report.shown):,} prompts {would}shown as landed: their clips are stored.")
    say(
        console,
        f"{len(report.taken_back):,} {would}shown as failed: the ledger knows no clip of them.",
    )
    if report.ended_runs:
        say(console, f"{report.ended_runs:,} runs ended whose process is gone.")
    if report.not_shown:
        named = ", ".join(report.not_shown[:5])
        say(
            console,
            f"{len(report.not_shown):,} could not be shown: {named}. Nothing was paid. "
            "`asset-pipeline fsck` says whether their files are whole.",
            "yellow",
        )


def _differences(
    instance: DagsterInstance, context: CliContext, ledger: LedgerReader
) -> tuple[list[Prompt], list[Prompt]]:
    """Return prompts that are stored and don't show so, and those that show so and are not."""
    prompts = list(context.library.prompts.values())
    shown = read_states(instance, prompts)
    standing = standing_of(instance, prompts, ledger.engine)
    stored: list[Prompt] = []
    unknown: list[Prompt] = []
    for prompt in prompts:
        state = shown.of(prompt)
        if state is PromptState.LANDED:
            if standing.of(prompt) is not PromptState.LANDED:
                unknown.append(prompt)
        elif state is not PromptState.RUNNING and costs_nothing(prompt, context, ledger):
            stored.append(prompt)
    return stored, unknown


def _show_stored(runner: Runner, instance: DagsterInstance, prompts: list[Prompt]) -> set[str]:
    """Materialize what is stored, under a budget of nothing; return what still does not show."""
    if not prompts:
        return set()
    runner.generate(prompts, CommandRunOptions(max_usd=_NOTHING))
    states = read_states(instance, prompts)
    return {_name(each) for each in prompts if states.of(each) is not PromptState.LANDED}


def _take_back(instance: DagsterInstance, prompts: list[Prompt]) -> None:
    lost = {kind: [each.prompt_id for each in prompts if each.kind is kind] for kind in Kind}
    show_lost(instance, lost, "The ledger knows no clip of these; `instance repair` found it.")


def _name(prompt: Prompt) -> str:
    return f"{prompt.kind}/{prompt.prompt_id}"
