"""How prompts stand by Dagster and the ledger together.

Dagster knows no more than landed, failed and in progress. Why a prompt has not landed, and whether
what shows as landed was made by the provider in use, is in the ledger.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import dagster as dg
from dagster import DagsterEventType, DagsterInstance
from sqlalchemy import Engine

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.defs._dagster_private import AssetPartitionStatus
from asset_pipeline.defs.assets.prompts import prompt_key
from asset_pipeline.defs.partitions import PARTITIONS
from asset_pipeline.defs.staleness import latest_events, stale_prompts
from asset_pipeline.ledger.failed_prompts import HowEnded, PromptHistory, read_history
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


_ENDED = {
    HowEnded.FAILED: PromptState.FAILED,
    HowEnded.REFUSED: PromptState.REFUSED,
    HowEnded.CANCELLED: PromptState.CANCELLED,
}


def standing_of(
    instance: DagsterInstance, prompts: Iterable[Prompt], ledger: Engine
) -> PromptStates:
    """Return how prompts stand.

    Raises:
        LedgerError: The ledger can't be read.
    """
    wanted = list(prompts)
    return _as_the_ledger_knows(read_states(instance, wanted), wanted, read_history(ledger))


def _as_the_ledger_knows(
    states: PromptStates, prompts: Iterable[Prompt], standing: PromptHistory
) -> PromptStates:
    known: dict[PromptKey, PromptState] = {}
    lost: set[PromptKey] = set()
    for prompt in prompts:
        key = (prompt.kind, prompt.prompt_id)
        variants = range(1, prompt.variants + 1)
        if any((*key, variant) in standing.vacant for variant in variants):
            lost.add(key)
        known[key] = _state(states.of(prompt), key, standing, is_lost=key in lost)
    stale = frozenset(key for key in states.stale if known.get(key) is not PromptState.MISSING)
    return replace(states, known=known, stale=stale, lost=frozenset(lost))


def _state(
    shown: PromptState, key: PromptKey, standing: PromptHistory, *, is_lost: bool
) -> PromptState:
    if shown is PromptState.LANDED and key not in standing.made:
        return PromptState.MISSING  # made by another provider, in an instance that both share
    if shown is PromptState.FAILED:
        ended = standing.ended.get(key)
        if ended is not None:
            return _ENDED[ended]
        # Its run ended without a word, or in an earlier release; or a check found its clip gone.
        failed = is_lost or key in standing.failed
        return PromptState.FAILED if failed else PromptState.CANCELLED
    if shown is PromptState.MISSING and key in standing.begun - standing.made:
        return PromptState.CANCELLED
    return shown
