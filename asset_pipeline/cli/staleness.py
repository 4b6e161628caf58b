"""Which prompts were edited after their clips landed, for 100,000 partitions at once.

A materialization says which version of its prompt it was made from in a tag that Dagster cannot
look up in bulk, and reading it means reading the event with its previews. Nearly always the order
of events says the same: a run observes the prompts that changed before it makes their clips.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import dagster as dg
from dagster import AssetRecordsFilter, DagsterEventType, DagsterInstance

from asset_pipeline.assets.prompts import observed_hashes, prompt_key
from asset_pipeline.catalog.kind import Kind
from asset_pipeline.prompts.spec import Prompt

# An event is some 30 kB with its preview.
_EVENTS_A_QUERY = 200


def stale_prompts(
    instance: DagsterInstance, kind: Kind, prompts: Mapping[str, Prompt]
) -> Iterator[str]:
    """Yield the ids of the prompts whose landed clips were made from another version of them.

    It is what the Dagster UI calls a changed data version of the upstream.
    """
    landed = _latest(instance, dg.AssetKey(kind.value), DagsterEventType.ASSET_MATERIALIZATION)
    planned = _latest(
        instance, dg.AssetKey(kind.value), DagsterEventType.ASSET_MATERIALIZATION_PLANNED
    )
    observed = _latest(instance, prompt_key(kind), DagsterEventType.ASSET_OBSERVATION)
    hashes = observed_hashes(instance, kind)
    unclear: dict[int, str] = {}
    for prompt_id, materialization in landed.items():
        if prompt_id not in prompts:
            continue
        observation = observed.get(prompt_id, materialization)
        if observation < planned.get(prompt_id, 0) < materialization:
            # The run read the prompt after its last observation, and would have made another one
            # had the prompt been a different one by then.
            if hashes[prompt_id] != prompts[prompt_id].prompt_hash:
                yield prompt_id
        else:
            unclear[materialization] = prompt_id
    for prompt_id, made_from in _made_from(instance, kind, unclear):
        if made_from != prompts[prompt_id].prompt_hash:
            yield prompt_id


def _latest(
    instance: DagsterInstance, key: dg.AssetKey, event: DagsterEventType
) -> Mapping[str, int]:
    return instance.event_log_storage.get_latest_storage_id_by_partition(key, event)


def _made_from(
    instance: DagsterInstance, kind: Kind, materializations: Mapping[int, str]
) -> Iterator[tuple[str, str | None]]:
    """Yield which version of the prompt each materialization was made from, by its own tag."""
    tag = f"dagster/input_data_version/{prompt_key(kind).to_user_string()}"
    ids = list(materializations)
    for start in range(0, len(ids), _EVENTS_A_QUERY):
        chunk = ids[start : start + _EVENTS_A_QUERY]
        found = instance.fetch_materializations(
            AssetRecordsFilter(dg.AssetKey(kind.value), storage_ids=chunk), limit=len(chunk)
        )
        for record in found.records:
            event = record.asset_materialization
            tags = {} if event is None else event.tags or {}
            yield materializations[record.storage_id], tags.get(tag)
