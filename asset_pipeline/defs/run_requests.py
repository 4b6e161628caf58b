"""Automatic run requests: batched, and no more than the budgets have room for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import dagster as dg
from dagster import DagsterInstance, RunsFilter

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.clock import SystemClock
from asset_pipeline.defs.assets.clips import PARTITIONS_A_RUN
from asset_pipeline.defs.jobs import CLIP_JOBS
from asset_pipeline.defs.prompt_states import standing_of
from asset_pipeline.defs.resources.ledger import LedgerResource
from asset_pipeline.defs.resources.prompt_library import Prompts
from asset_pipeline.defs.run_tags import UNFINISHED, run_tags
from asset_pipeline.generation.planning.budget_fit import affordable
from asset_pipeline.ledger.budgets import BudgetCaps, CapsSource
from asset_pipeline.ledger.reports import LedgerReader
from asset_pipeline.prompts.spec import Prompt
from asset_pipeline.settings import load_settings

# What one tick asks for at the most: hours of work for the provider, worked out in seconds.
_PROMPTS_A_TICK = 4 * PARTITIONS_A_RUN


@dataclass(frozen=True, slots=True)
class Requested:
    """The run requests for one kind's due prompts.

    Attributes:
        runs: To be launched.
        waiting: Due prompts that have no run yet: another is under way, or a budget is used up.
        told: A sentence on it; empty when nothing is due.
    """

    runs: tuple[dg.RunRequest, ...] = ()
    waiting: bool = False
    told: str = ""


def clip_run(kind: Kind, prompts: Sequence[Prompt], caps: BudgetCaps) -> dg.RunRequest:
    """Return one run for exactly these prompts, wherever their partitions stand.

    It has no run key: an edit that is taken back asks for the same run once more. What landed
    already, or is on its way in another run, is not paid again.
    """
    ids = [prompt.prompt_id for prompt in prompts]
    return dg.RunRequest(
        job_name=CLIP_JOBS[kind].name,
        partition_key=ids[0],
        run_config={"ops": {kind.value: {"config": {"prompt_ids": ids}}}},
        tags=dict(run_tags(kind, {prompt.collection for prompt in prompts}, caps)),
    )


def request_due(
    instance: DagsterInstance, kind: Kind, prompts: Prompts, ledger: LedgerResource, sensor: str
) -> Requested:
    """Return the runs for a kind's prompts that are due and stand in a collection with `auto`.

    Args:
        instance: Says how they stand.
        kind: What they make.
        prompts: All prompts.
        ledger: Says what the budgets bear.
        sensor: Whose earlier runs have to end first: only then is known what they cost.

    Raises:
        AssetPipelineError: The ledger or the budgets' file can't be read.
    """
    library = prompts.library
    auto = [prompt for prompt in library.of_kind(kind).values() if library.is_auto(prompt)]
    if not auto:
        return Requested()
    if is_under_way(instance, kind, sensor):
        return Requested(waiting=True, told=f"{kind}: its last automatic run has not ended")
    with ledger.open() as book:
        states = standing_of(instance, auto, book.engine)
    due = [prompt for prompt in auto if states.is_due(prompt)]
    if not due:
        return Requested()
    caps = CapsSource(load_settings()).current()
    with ledger.open() as book:
        found = affordable(
            due[:_PROMPTS_A_TICK],
            prompts.catalog,
            prompts.folder,
            LedgerReader(book.engine),
            caps,
            now=SystemClock().now(),
            prompts_a_run=PARTITIONS_A_RUN,
        )
    taken = sum(map(len, found.batches))
    told = f"{kind}: {taken} of {len(due)} due prompts requested in {len(found.batches)} runs"
    if found.budgets:
        told += f"; no room in {', '.join(sorted(found.budgets))}"
    runs = tuple(clip_run(kind, batch, caps) for batch in found.batches)
    return Requested(runs, waiting=taken < len(due), told=told)


def is_under_way(instance: DagsterInstance, kind: Kind, sensor: str) -> bool:
    """Tell whether a run of a kind's clips that a sensor asked for has not ended."""
    filters = RunsFilter(
        job_name=CLIP_JOBS[kind].name,
        statuses=UNFINISHED,
        tags={"dagster/sensor_name": sensor},
    )
    return instance.get_runs_count(filters) > 0
