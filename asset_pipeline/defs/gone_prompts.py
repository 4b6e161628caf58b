"""Partitions whose prompts are gone from the files: which they are, and where those went."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from dagster import AssetKey, DagsterInstance

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.defs.assets.prompts import observed_hashes
from asset_pipeline.defs.partitions import partition_set
from asset_pipeline.prompts.library import FOLDERS, Library


@dataclass(frozen=True, slots=True)
class GonePrompts:
    """The partitions of one kind without a prompt.

    Attributes:
        ids: Partitions that no prompt stands for, sorted.
        renamed: By such a partition, the prompt that is the same but for its id.
        landed: Those that have clips.
        unreadable: Files that could not be read as a whole: any of the ids may be in one of them.
    """

    kind: Kind
    ids: tuple[str, ...]
    renamed: Mapping[str, str]
    landed: frozenset[str]
    unreadable: tuple[str, ...]


def find_gone(instance: DagsterInstance, kind: Kind, library: Library) -> GonePrompts:
    """Tell which partitions of a kind have no prompt any more.

    A prompt that has a problem is not gone: its partition stays out of this.
    """
    broken = {problem.prompt_id for problem in library.problems if problem.prompt_id}
    live = library.of_kind(kind)
    known = set(instance.get_dynamic_partitions(partition_set(kind)))
    ids = tuple(sorted(known.difference(live, broken)))
    if not ids:
        return GonePrompts(kind, (), {}, frozenset(), ())
    by_hash = {prompt.prompt_hash: prompt.prompt_id for prompt in live.values()}
    hashes = observed_hashes(instance, kind)
    renamed = {gone: by_hash[it] for gone in ids if (it := hashes.get(gone)) in by_hash}
    made = instance.event_log_storage.get_materialized_partitions(AssetKey(kind.value))
    return GonePrompts(
        kind, ids, renamed, frozenset(made).intersection(ids), _unreadable(kind, library)
    )


def forget(instance: DagsterInstance, kind: Kind, ids: Collection[str]) -> None:
    """Delete partitions. Their history stays in the event log and their clips in the store."""
    for prompt_id in ids:
        instance.delete_dynamic_partition(partition_set(kind), prompt_id)


def _unreadable(kind: Kind, library: Library) -> tuple[str, ...]:
    """Return the files with a problem that names no prompt, without those of the other kind."""
    others = tuple(f"/{folder}/" for other, folder in FOLDERS.items() if other is not kind)
    return tuple(
        sorted(
            {
                problem.path
                for problem in library.problems
                if not problem.prompt_id and not any(at in problem.path for at in others)
            }
        )
    )
