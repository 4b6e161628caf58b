"""Bringing Dagster up to date with the prompt files: its partitions and their observations."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from dagster import AssetKey, DagsterInstance

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.chunks import chunks
from asset_pipeline.defs.assets.prompts import changed_prompts, observe
from asset_pipeline.defs.partitions import partition_set
from asset_pipeline.prompts.spec import Prompt

# One statement holds so many keys as variables (SQLite allows 32,766), and one transaction so many
# events: readers and other writers get their turn between two of them.
_A_CALL = 5000


@dataclass(frozen=True, slots=True)
class Synced:
    """What changed in Dagster.

    Attributes:
        added: Partitions added.
        observed: Prompts observed anew.
        removed: Partitions that no prompt stands for; they are kept.
        complete: Whether nothing is left to do; if not, syncing again goes on.
    """

    added: tuple[str, ...]
    observed: tuple[str, ...]
    removed: frozenset[str] = frozenset()
    complete: bool = True


def _for_ever() -> bool:
    return True


def sync_prompts(
    instance: DagsterInstance,
    kind: Kind,
    prompts: Collection[Prompt],
    *,
    go_on: Callable[[], bool] = _for_ever,
) -> Synced:
    """Add the partitions that are new and observe the prompts that changed, some at a time.

    Prompts that left the files keep their partitions: their clips are paid for.

    Args:
        instance: Where partitions and observations are.
        kind: What the prompts make.
        prompts: All good prompts of the kind.
        go_on: Asked between two chunks; once it says no, the rest is left to another call.
    """
    known = set(instance.get_dynamic_partitions(partition_set(kind)))
    removed = known.difference(prompt.prompt_id for prompt in prompts)
    added: list[str] = []
    new = [prompt.prompt_id for prompt in prompts if prompt.prompt_id not in known]
    for keys in chunks(new, _A_CALL):
        if not go_on():
            break
        instance.add_dynamic_partitions(partition_set(kind), keys)
        added.extend(keys)
    observed: list[str] = []
    changed = changed_prompts(instance, kind, prompts)
    for chunk in chunks(changed, _A_CALL):
        if not go_on():
            break
        observe(instance, chunk)
        observed.extend(prompt.prompt_id for prompt in chunk)
    whole = len(added) == len(new) and len(observed) == len(changed)
    return Synced(tuple(added), tuple(observed), frozenset(removed), complete=whole)


def add_partitions(
    instance: DagsterInstance, kind: Kind, prompts: Collection[Prompt]
) -> tuple[str, ...]:
    """Add the partitions of prompts that have none yet, and return their keys."""
    known = set(instance.get_dynamic_partitions(partition_set(kind)))
    added = [prompt.prompt_id for prompt in prompts if prompt.prompt_id not in known]
    for keys in chunks(added, _A_CALL):
        instance.add_dynamic_partitions(partition_set(kind), keys)
    return tuple(added)


def observe_edits(instance: DagsterInstance, kind: Kind, prompts: Mapping[str, Prompt]) -> None:
    """Observe the prompts that were edited since their clips landed, so that the UI shows it."""
    landed = instance.event_log_storage.get_materialized_partitions(AssetKey(kind.value))
    known = [prompts[prompt_id] for prompt_id in landed if prompt_id in prompts]
    for chunk in chunks(changed_prompts(instance, kind, known), _A_CALL):
        observe(instance, chunk)
