"""What a clip's renditions were made from, in the tags that Dagster's staleness rests on.

Dagster compares each upstream's events since the one that was used, so a rendition names two: its
clip's materialization, and the observation of the prompt that the clip was made from. The second
is the clip's own tag, not the latest observation: a rendition of an outdated clip is outdated.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import dagster as dg
from dagster import AssetRecordsFilter, DagsterEventType, DagsterInstance

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.defs.assets.prompts import DATA_VERSION_TAG, prompt_key

INPUT_VERSION = "dagster/input_data_version/"
INPUT_POINTER = "dagster/input_event_pointer/"

# What Dagster writes for an upstream without an event.
_NO_EVENT = "NULL"
_NO_VERSION = "INITIAL"


@dataclass(frozen=True, slots=True)
class Descent:
    """The two events that a rendition descends from, as tags of its own event."""

    tags: Mapping[str, str]


def descents_of(
    instance: DagsterInstance, kind: Kind, prompt_ids: Collection[str]
) -> dict[str, Descent]:
    """Return the descent of each prompt's renditions if they were made now."""
    clip_key = dg.AssetKey(kind.value)
    latest = instance.event_log_storage.get_latest_storage_id_by_partition(
        clip_key, DagsterEventType.ASSET_MATERIALIZATION, set(prompt_ids)
    )
    found = instance.fetch_materializations(
        AssetRecordsFilter(clip_key, storage_ids=list(latest.values())), limit=max(1, len(latest))
    ).records
    descents = {prompt_id: _descent(kind, None, {}) for prompt_id in prompt_ids}
    for record in found if latest else ():
        event = record.asset_materialization
        if event is not None and event.partition is not None:
            descents[event.partition] = _descent(kind, record.storage_id, event.tags or {})
    return descents


def _descent(kind: Kind, storage_id: int | None, tags: Mapping[str, str]) -> Descent:
    clip, prompt = kind.value, prompt_key(kind).to_user_string()
    return Descent(
        {
            f"{INPUT_VERSION}{clip}": tags.get(DATA_VERSION_TAG, _NO_VERSION),
            f"{INPUT_POINTER}{clip}": str(storage_id or _NO_EVENT),
            f"{INPUT_VERSION}{prompt}": tags.get(f"{INPUT_VERSION}{prompt}", _NO_VERSION),
            f"{INPUT_POINTER}{prompt}": tags.get(f"{INPUT_POINTER}{prompt}", _NO_EVENT),
        }
    )
