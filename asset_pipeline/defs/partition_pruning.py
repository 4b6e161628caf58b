"""Taking back the partitions of prompts that left a collection which says `prune: true`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import dagster as dg
from dagster import AssetRecordsFilter, DagsterInstance

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.chunks import chunks
from asset_pipeline.defs.assets.prompts import prompt_key
from asset_pipeline.defs.partitions import partition_set
from asset_pipeline.prompts.library import FOLDERS, Library

_A_QUERY = 1000
_BETWEEN_QUESTIONS = 100


def pruned_collections(library: Library, kind: Kind) -> frozenset[str]:
    """Return the collections of a kind whose removed prompts lose their partition.

    None does while a file of the kind, or one that is in no folder of a kind, has a problem: a
    prompt that can't be read must not pass for one that was removed. A collection of several
    files prunes when all of them say so.
    """
    of_kind = {path: rules for path, rules in library.rules.items() if _folder(path) == kind}
    labelled = (problem.path.partition("/")[2] for problem in library.problems)
    if any(_folder(path) in {kind, None} for path in labelled):
        return frozenset()
    keeping = {rules.name for rules in of_kind.values() if not rules.prune}
    return frozenset(rules.name for rules in of_kind.values()) - keeping


def prune(
    instance: DagsterInstance,
    kind: Kind,
    removed: Collection[str],
    collections: Collection[str],
    *,
    go_on: Callable[[], bool],
) -> tuple[list[str], bool]:
    """Delete the partitions of removed prompts that were observed in one of the collections.

    Their history stays in the event log and their clips in the store, where retention decides.

    Args:
        instance: Where the partitions are.
        kind: What the prompts make.
        removed: Partitions without a prompt.
        collections: Those that prune.
        go_on: Asked now and then; once it says no, the rest is left to another call.

    Returns:
        What was deleted, and whether that was all.
    """
    if not (removed and collections):
        return [], True
    deleted: list[str] = []
    for prompt_id in _observed_in(instance, kind, sorted(removed), collections):
        if len(deleted) % _BETWEEN_QUESTIONS == 0 and not go_on():
            return deleted, False
        instance.delete_dynamic_partition(partition_set(kind), prompt_id)
        deleted.append(prompt_id)
    return deleted, True


def _observed_in(
    instance: DagsterInstance, kind: Kind, removed: Sequence[str], collections: Collection[str]
) -> list[str]:
    """Return the prompts that stood in one of the collections when they were observed last."""
    latest = instance.event_log_storage.get_latest_storage_id_by_partition(
        prompt_key(kind), dg.DagsterEventType.ASSET_OBSERVATION, set(removed)
    )
    found: list[str] = []
    for chunk in chunks(latest.values(), _A_QUERY):
        records = instance.fetch_observations(
            AssetRecordsFilter(prompt_key(kind), storage_ids=chunk), limit=len(chunk)
        ).records
        for record in records:
            observation = record.asset_observation
            collection = None if observation is None else observation.metadata.get("collection")
            if collection is not None and collection.value in collections:
                found.append(str(record.partition_key))
    return found


def _folder(path: str) -> Kind | None:
    top = path.partition("/")[0]
    return next((kind for kind, folder in FOLDERS.items() if folder == top), None)
