"""Renamed prompts: their clips are stored, so Dagster is let to show them, for nothing."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
from dagster import DagsterInstance

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.clock import SystemClock
from asset_pipeline.defs.assets.clips import PARTITIONS_A_RUN
from asset_pipeline.defs.assets.prompts import observed_hashes
from asset_pipeline.defs.jobs import CLIP_JOBS
from asset_pipeline.defs.prompt_states import standing_of
from asset_pipeline.defs.resources.ledger import LedgerResource
from asset_pipeline.defs.resources.prompt_library import Prompts
from asset_pipeline.defs.run_requests import Requested, is_under_way
from asset_pipeline.defs.run_tags import run_tags
from asset_pipeline.generation.planning.plan import make_plan
from asset_pipeline.ledger.budgets import BudgetCaps, CapsSource
from asset_pipeline.ledger.reports import LedgerReader
from asset_pipeline.prompts.spec import Prompt
from asset_pipeline.prompts.states import PromptState
from asset_pipeline.settings import load_settings


def request_renamed(
    instance: DagsterInstance, kind: Kind, prompts: Prompts, ledger: LedgerResource, sensor: str
) -> Requested:
    """Return a run for the prompts that only got another id: all their clips are stored.

    It can't pay: its own cap is nothing. Collections with `auto` have runs of their own.

    Args:
        instance: Says which prompts have no partition that landed.
        kind: What they make.
        prompts: All prompts.
        ledger: Says what is stored.
        sensor: Whose earlier runs have to end first.

    Raises:
        AssetPipelineError: The ledger or the budgets' file can't be read.
    """
    alike = list(_alike(instance, kind, prompts))
    if not alike:
        return Requested()
    with ledger.open() as book:
        states = standing_of(instance, alike, book.engine)
        missing = [it for it in alike if states.of(it) is PromptState.MISSING]
        if not missing:
            return Requested()
        caps = CapsSource(load_settings()).current()
        reader = LedgerReader(book.engine)
        stored = [it for it in missing[:PARTITIONS_A_RUN] if _is_stored(it, prompts, reader, caps)]
    if not stored:
        return Requested()
    if is_under_way(instance, kind, sensor):
        return Requested(waiting=True, told=f"{kind}: renamed prompts wait for its last run")
    ids = [prompt.prompt_id for prompt in stored]
    run = dg.RunRequest(
        job_name=CLIP_JOBS[kind].name,
        partition_key=ids[0],
        run_config={"ops": {kind.value: {"config": {"prompt_ids": ids, "max_usd": "0"}}}},
        tags=dict(run_tags(kind, {prompt.collection for prompt in stored}, caps)),
    )
    return Requested((run,), told=f"{kind}: {len(ids)} renamed prompts keep their clips")


def _alike(instance: DagsterInstance, kind: Kind, prompts: Prompts) -> Iterator[Prompt]:
    """Yield the prompts that are the same as one that was seen under an id that is gone."""
    library = prompts.library
    live = library.of_kind(kind)
    gone = {it for name, it in observed_hashes(instance, kind).items() if name not in live}
    if gone:
        for prompt in live.values():
            if prompt.prompt_hash in gone and not library.is_auto(prompt):
                yield prompt


def _is_stored(prompt: Prompt, prompts: Prompts, ledger: LedgerReader, caps: BudgetCaps) -> bool:
    plan = make_plan(
        [prompt],
        prompts.catalog,
        prompts.folder,
        ledger,
        caps,
        now=SystemClock().now(),
        prompts_a_run=PARTITIONS_A_RUN,
    )
    return plan.cached == plan.clips
