"""Bringing Dagster up to date with the prompt files: its partitions and their observations."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from dagster import DagsterInstance

from asset_pipeline.assets.partitions import partition_set
from asset_pipeline.assets.prompts import changed_prompts, observation_of
from asset_pipeline.catalog.kind import Kind
from asset_pipeline.prompts.spec import Prompt

_PARTITIONS_A_CALL = 5000


@dataclass(frozen=True, slots=True)
class Synced:
    """What changed in Dagster: partitions added, prompts observed anew."""

    added: tuple[str, ...]
    observed: tuple[str, ...]


def sync_prompts(instance: DagsterInstance, kind: Kind, prompts: Collection[Prompt]) -> Synced:
    """Add the partitions that are new and observe the prompts that changed.

    Prompts that left the files keep their partitions: their clips are paid for.
    """
    added = add_partitions(instance, kind, prompts)
    changed = changed_prompts(instance, kind, prompts)
    for prompt in changed:
        instance.report_runless_asset_event(observation_of(prompt))
    return Synced(added, tuple(prompt.prompt_id for prompt in changed))


def add_partitions(
    instance: DagsterInstance, kind: Kind, prompts: Collection[Prompt]
) -> tuple[str, ...]:
    """Add the partitions of prompts that have none yet, and return their keys."""
    name = partition_set(kind)
    known = set(instance.get_dynamic_partitions(name))
    added = [prompt.prompt_id for prompt in prompts if prompt.prompt_id not in known]
    for start in range(0, len(added), _PARTITIONS_A_CALL):
        instance.add_dynamic_partitions(name, added[start : start + _PARTITIONS_A_CALL])
    return tuple(added)
