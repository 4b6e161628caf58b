"""The prompts as observed source assets: an edit makes its own clips stale and no others."""

from collections.abc import Iterable, Mapping

import dagster as dg
from dagster import DagsterEvent, DagsterInstance

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.defs._dagster_private import (
    RUNLESS_JOB_NAME,
    RUNLESS_RUN_ID,
    AssetObservationData,
)
from asset_pipeline.defs.events import store_events
from asset_pipeline.defs.partitions import PARTITIONS
from asset_pipeline.defs.resources.prompt_library import PromptLibraryResource
from asset_pipeline.prompts.spec import Prompt

DATA_VERSION_TAG = "dagster/data_version"


def prompt_key(kind: Kind) -> dg.AssetKey:
    """Return the key of the asset that stands for the prompts of a kind."""
    return dg.AssetKey(f"{kind}_prompt")


def build_prompt_asset(kind: Kind) -> dg.SourceAsset:
    """Return the observable asset of one kind's prompts."""

    @dg.observable_source_asset(
        name=f"{kind}_prompt",
        partitions_def=PARTITIONS[kind],
        group_name="prompts",
        description=f"The {kind} prompts as they stand in the prompt files. A prompt's data "
        "version is the hash of all that decides its clips.",
    )
    def observe(
        context: dg.OpExecutionContext, prompt_library: PromptLibraryResource
    ) -> dg.DataVersionsByPartition:
        prompts = prompt_library.load().library.of_kind(kind)
        changed = changed_prompts(context.instance, kind, prompts.values())
        context.log.info("%d of %d %s prompts changed", len(changed), len(prompts), kind)
        return dg.DataVersionsByPartition(
            {prompt.prompt_id: dg.DataVersion(prompt.prompt_hash) for prompt in changed}
        )

    return observe


def changed_prompts(
    instance: DagsterInstance, kind: Kind, prompts: Iterable[Prompt]
) -> list[Prompt]:
    """Return the prompts whose hash is not the last one observed."""
    known = observed_hashes(instance, kind)
    return [prompt for prompt in prompts if known.get(prompt.prompt_id) != prompt.prompt_hash]


def observed_hashes(instance: DagsterInstance, kind: Kind) -> Mapping[str, str]:
    """Return the last observed hash by prompt id, in one query for all partitions."""
    tags = instance.event_log_storage.get_latest_tags_by_partition(
        prompt_key(kind), dg.DagsterEventType.ASSET_OBSERVATION, [DATA_VERSION_TAG]
    )
    return {partition: found[DATA_VERSION_TAG] for partition, found in tags.items()}


def observation_of(prompt: Prompt) -> dg.AssetObservation:
    """Return the event that says how a prompt stands now."""
    return dg.AssetObservation(
        prompt_key(prompt.kind),
        partition=prompt.prompt_id,
        metadata={"text": prompt.text, "collection": prompt.collection, "model": prompt.model},
        tags={
            DATA_VERSION_TAG: prompt.prompt_hash,
            "dagster/data_version_is_user_provided": "true",
        },
    )


def observe(instance: DagsterInstance, prompts: Iterable[Prompt]) -> None:
    """Store an observation of each prompt, outside of any run and all at once."""
    store_events(
        instance,
        RUNLESS_RUN_ID,
        [
            DagsterEvent(
                event_type_value=dg.DagsterEventType.ASSET_OBSERVATION.value,
                job_name=RUNLESS_JOB_NAME,
                event_specific_data=AssetObservationData(observation_of(prompt)),
            )
            for prompt in prompts
        ],
    )


def observation_ids(
    instance: DagsterInstance, kind: Kind, prompt_ids: Iterable[str]
) -> Mapping[str, int]:
    """Return the storage id of each prompt's last observation, in one query."""
    return instance.event_log_storage.get_latest_storage_id_by_partition(
        prompt_key(kind), dg.DagsterEventType.ASSET_OBSERVATION, set(prompt_ids)
    )
