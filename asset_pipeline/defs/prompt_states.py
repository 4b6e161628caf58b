"""How prompts stand by Dagster and the ledger together.

Dagster knows no more than landed, failed and in progress. Why a prompt has not landed, and whether
what shows as landed was made by the provider in use, is in the ledger.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from dagster import DagsterInstance
from sqlalchemy import Engine

from asset_pipeline.defs.partition_states import read_states
from asset_pipeline.ledger.failed_prompts import HowEnded, PromptHistory, read_history
from asset_pipeline.prompts.spec import Prompt
from asset_pipeline.prompts.states import PromptKey, PromptState, PromptStates

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
