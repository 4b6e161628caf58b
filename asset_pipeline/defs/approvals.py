"""What people decided, as Dagster shows it: an observation of each judged partition.

An observation of a clip's own asset leaves it fresh. Verdicts themselves live in the ledger.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from typing import Any

import dagster as dg
from dagster import DagsterEvent, DagsterInstance, MetadataValue

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.defs._dagster_private import (
    RUNLESS_JOB_NAME,
    RUNLESS_RUN_ID,
    AssetObservationData,
)
from asset_pipeline.defs.events import store_events
from asset_pipeline.defs.markdown import code, shown, table
from asset_pipeline.ledger.reviews import ClipStanding, Reviews
from asset_pipeline.ledger.service_schema import Verdict


def observe_verdicts(
    instance: DagsterInstance, reviews: Reviews, prompts: Collection[tuple[Kind, str]]
) -> None:
    """Show on the partitions of some prompts what is thought of their clips, in one write."""
    by_prompt: dict[tuple[Kind, str], list[ClipStanding]] = defaultdict(list)
    for kind in Kind:
        ids = [prompt_id for other, prompt_id in prompts if other is kind]
        for clip in reviews.standing(kind, ids) if ids else ():
            by_prompt[kind, clip.prompt_id].append(clip)
    observations = [
        dg.AssetObservation(
            dg.AssetKey(kind.value), partition=prompt_id, metadata=review_metadata(clips)
        )
        for (kind, prompt_id), clips in by_prompt.items()
    ]
    if observations:
        store_events(instance, RUNLESS_RUN_ID, [_event(each) for each in observations])


def review_metadata(clips: Sequence[ClipStanding]) -> dict[str, Any]:
    """Return what a partition's page says of the verdicts on its current clips."""
    counts = Counter(clip.verdict for clip in clips)
    told = [f"{counts[verdict]} {verdict.value}" for verdict in Verdict if counts[verdict]]
    rows = [
        (
            str(clip.variant),
            clip.verdict.value,
            shown(clip.reason_code),
            shown(clip.actor),
            f"{clip.decided_at:%Y-%m-%d %H:%M} UTC" if clip.decided_at else "",
            code(clip.sha256[:16]),
        )
        for clip in clips
    ]
    return {
        "review_state": MetadataValue.text(", ".join(told)),
        "approved": MetadataValue.int(counts[Verdict.APPROVED]),
        "rejected": MetadataValue.int(counts[Verdict.REJECTED]),
        "undecided": MetadataValue.int(counts[Verdict.UNDECIDED]),
        "verdicts": MetadataValue.md(
            table(("variant", "verdict", "reason", "by", "at", "sha256"), rows)
        ),
    }


def _event(observation: dg.AssetObservation) -> DagsterEvent:
    return DagsterEvent(
        event_type_value=dg.DagsterEventType.ASSET_OBSERVATION.value,
        job_name=RUNLESS_JOB_NAME,
        event_specific_data=AssetObservationData(observation),
    )
