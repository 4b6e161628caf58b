"""Finding stale clips among 100,000 partitions at once.

It is what the Dagster UI calls stale: the prompt was observed anew, or the code has a new version.
A materialization says in tags what it was made from, which Dagster cannot look up in bulk, and
reading them means reading the event with its previews. Nearly always the order of events says the
same: a run observes the prompts that changed before it makes their clips, and versions of the code
follow each other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import dagster as dg
from dagster import AssetRecordsFilter, DagsterEventType, DagsterInstance

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.chunks import chunks
from asset_pipeline.defs.assets.prompts import observed_hashes, prompt_key
from asset_pipeline.defs.materializations import CODE_VERSION
from asset_pipeline.prompts.spec import Prompt

# An event is some 30 kB with its preview.
_EVENTS_A_QUERY = 200


def stale_prompts(
    instance: DagsterInstance, kind: Kind, prompts: Mapping[str, Prompt]
) -> Iterator[str]:
    """Yield the ids of the prompts whose landed clips are stale."""
    asset = dg.AssetKey(kind.value)
    landed = latest_events(instance, asset, DagsterEventType.ASSET_MATERIALIZATION)
    planned = latest_events(instance, asset, DagsterEventType.ASSET_MATERIALIZATION_PLANNED)
    observed = latest_events(instance, prompt_key(kind), DagsterEventType.ASSET_OBSERVATION)
    hashes = observed_hashes(instance, kind)
    made_here = _first_of_this_code(instance, kind, sorted(landed.values()))
    unclear: dict[int, str] = {}
    for prompt_id, materialization in landed.items():
        if prompt_id not in prompts:
            continue
        observation = observed.get(prompt_id, materialization)
        if materialization < made_here:
            yield prompt_id
        elif observation < planned.get(prompt_id, 0) < materialization:
            # The run read the prompt after its last observation, and would have made another one
            # had the prompt been a different one by then.
            if hashes[prompt_id] != prompts[prompt_id].prompt_hash:
                yield prompt_id
        else:
            unclear[materialization] = prompt_id
    for prompt_id, made_from in _made_from(instance, kind, unclear):
        if made_from != prompts[prompt_id].prompt_hash:
            yield prompt_id


def latest_events(
    instance: DagsterInstance,
    key: dg.AssetKey,
    event: DagsterEventType,
    partitions: Collection[str] | None = None,
) -> Mapping[str, int]:
    """Return the id of each partition's latest event of a type; a later event has a higher id."""
    return instance.event_log_storage.get_latest_storage_id_by_partition(
        key, event, None if partitions is None else set(partitions)
    )


def _first_of_this_code(
    instance: DagsterInstance, kind: Kind, materializations: Sequence[int]
) -> int:
    """Return the id from which on clips were made by this version of the code.

    Versions follow each other, so halving finds it: seventeen events of 100,000 are read. Whoever
    goes back to an older version sees what the one between made as fresh until it is made anew.
    """
    low, high = 0, len(materializations)
    while low < high:
        middle = (low + high) // 2
        (tags,) = _tags(instance, kind, [materializations[middle]]).values()
        if tags.get("dagster/code_version") == CODE_VERSION:
            high = middle
        else:
            low = middle + 1
    return materializations[low] if low < len(materializations) else _AFTER_ALL


def _made_from(
    instance: DagsterInstance, kind: Kind, materializations: Mapping[int, str]
) -> Iterator[tuple[str, str | None]]:
    """Yield which version of the prompt each materialization was made from, by its own tag."""
    tag = f"dagster/input_data_version/{prompt_key(kind).to_user_string()}"
    for ids in chunks(materializations, _EVENTS_A_QUERY):
        for storage_id, tags in _tags(instance, kind, ids).items():
            yield materializations[storage_id], tags.get(tag)


def _tags(
    instance: DagsterInstance, kind: Kind, storage_ids: Sequence[int]
) -> dict[int, Mapping[str, str]]:
    """Return the tags of some materializations by their ids."""
    found = instance.fetch_materializations(
        AssetRecordsFilter(dg.AssetKey(kind.value), storage_ids=storage_ids),
        limit=len(storage_ids),
    )
    return {
        record.storage_id: (event.tags or {}) if (event := record.asset_materialization) else {}
        for record in found.records
    }


_AFTER_ALL = 2**63
