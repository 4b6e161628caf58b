"""The two dynamic partition sets; a partition is one prompt, its key the prompt id."""

from __future__ import annotations

import dagster as dg

from asset_pipeline.catalog.kind import Kind

PARTITIONS = {
    Kind.IMAGE: dg.DynamicPartitionsDefinition(name="image_prompts"),
    Kind.AUDIO: dg.DynamicPartitionsDefinition(name="audio_prompts"),
}


def partition_set(kind: Kind) -> str:
    """Return the name of a kind's partition set."""
    return f"{kind}_prompts"
