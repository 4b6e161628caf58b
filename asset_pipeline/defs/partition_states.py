"""How the prompts stand in Dagster, asked for all of them at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import dagster as dg
from dagster import DagsterEventType, DagsterInstance
from dagster._core.storage.partition_status_cache import AssetPartitionStatus

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.defs.assets.prompts import prompt_key
from asset_pipeline.defs.partitions import PARTITIONS
from asset_pipeline.defs.staleness import latest_events, stale_prompts
from asset_pipeline.prompts.spec import Prompt
from asset_pipeline.prompts.states import PromptKey, PromptState, PromptStates

_NAMES = {
    AssetPartitionStatus.MATERIALIZED: PromptState.LANDED,
    AssetPartitionStatus.FAILED: PromptState.FAILED,
    AssetPartitionStatus.IN_PROGRESS: PromptState.RUNNING,
}


def read_states(instance: DagsterInstance, prompts: Iterable[Prompt]) -> PromptStates:
    """Return how prompts stand, in a handful of queries for all of them."""
    by_kind: dict[Kind, dict[str, Prompt]] = {kind: {} for kind in Kind}
    for prompt in prompts:
        by_kind[prompt.kind][prompt.prompt_id] = prompt
    known: dict[PromptKey, PromptState] = {}
    stale: set[PromptKey] = set()
    edited: set[PromptKey] = set()
    for kind, of_kind in by_kind.items():
        if not of_kind:
            continue
        statuses = _statuses(instance, kind, list(of_kind))
        known.update(((kind, prompt_id), state) for prompt_id, state in statuses.items())
        stale.update((kind, prompt_id) for prompt_id in stale_prompts(instance, kind, of_kind))
        failed = {prompt_id for prompt_id, state in statuses.items() if state is PromptState.FAILED}
        edited.update((kind, prompt_id) for prompt_id in _edited_since(instance, kind, failed))
    return PromptStates(known, frozenset(stale), frozenset(edited))


def failed_prompts(instance: DagsterInstance, kind: Kind, prompts: Iterable[Prompt]) -> list[str]:
    """Return the ids of those prompts whose partitions the UI shows as failed, in their order."""
    ids = [prompt.prompt_id for prompt in prompts]
    statuses = _statuses(instance, kind, ids)
    return [prompt_id for prompt_id in ids if statuses.get(prompt_id) is PromptState.FAILED]


def _statuses(
    instance: DagsterInstance, kind: Kind, prompt_ids: list[str]
) -> Mapping[str, PromptState]:
    """Return the statuses of one kind's partitions, from the cache that the UI reads too."""
    found = instance.get_status_by_partition(dg.AssetKey(kind.value), prompt_ids, PARTITIONS[kind])
    return {
        prompt_id: _NAMES[status]
        for prompt_id, status in (found or {}).items()
        if status is not None
    }


def _edited_since(instance: DagsterInstance, kind: Kind, failed: set[str]) -> set[str]:
    """Return those of the failed prompts that were observed anew after they were tried."""
    if not failed:
        return set()
    tried = latest_events(
        instance, dg.AssetKey(kind.value), DagsterEventType.ASSET_MATERIALIZATION_PLANNED, failed
    )
    seen = latest_events(instance, prompt_key(kind), DagsterEventType.ASSET_OBSERVATION, failed)
    return {prompt_id for prompt_id in failed if seen.get(prompt_id, 0) > tried.get(prompt_id, 0)}
