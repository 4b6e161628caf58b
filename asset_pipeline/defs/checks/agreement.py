"""Checking that the ledger and Dagster's event log agree on each prompt's clips."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import dagster as dg
from dagster import DagsterInstance

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.defs.assets.prompts import DATA_VERSION_TAG
from asset_pipeline.ledger.clip_inspection import ClipInspection, PromptClips

# A clip is recorded a moment before Dagster is told of it.
_MOMENT = timedelta(minutes=1)


@dataclass(slots=True)
class Agreement:
    """What was compared.

    Attributes:
        compared: Prompts with clips in the ledger or in the event log.
        differing: The event log shows clips that are not the ledger's current ones.
        untold: The ledger has clips of which Dagster was never told, such as those that
            `reconcile` fetched; materializing the partition shows them and costs nothing.
    """

    compared: int = 0
    differing: list[str] = field(default_factory=list[str])
    untold: list[str] = field(default_factory=list[str])


def compare(
    instance: DagsterInstance, ledger: ClipInspection, kind: Kind, now: datetime
) -> Agreement:
    """Compare the data version of each partition's last event with the ledger's clips.

    Two queries, whatever the number of partitions.
    """
    # Read the ledger first: clips that land meanwhile are then too young to count as wrong.
    known = {clips.prompt_id: clips for clips in ledger.identities(kind)}
    tags = instance.event_log_storage.get_latest_tags_by_partition(
        dg.AssetKey(kind.value), dg.DagsterEventType.ASSET_MATERIALIZATION, [DATA_VERSION_TAG]
    )
    shown = {partition: found.get(DATA_VERSION_TAG, "") for partition, found in tags.items()}
    agreement = Agreement(compared=len(known.keys() | shown.keys()))
    for prompt_id, version in shown.items():
        clips = known.get(prompt_id)
        if clips is None or (version not in set(_versions(clips)) and not _is_young(clips, now)):
            agreement.differing.append(prompt_id)
    agreement.untold = [
        prompt_id
        for prompt_id, clips in known.items()
        if prompt_id not in shown and not _is_young(clips, now)
    ]
    return agreement


def _versions(clips: PromptClips) -> Iterator[str]:
    """Yield the data versions that fit: fewer variants may be asked for now than were made."""
    digest = hashlib.sha256()
    for sha256 in clips.sha256s:
        digest.update(sha256.encode())
        yield digest.hexdigest()


def _is_young(clips: PromptClips, now: datetime) -> bool:
    return now - clips.newest < _MOMENT
