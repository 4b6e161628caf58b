"""Briefs and what is drafted from them: an edited brief shows its drafts stale, and only those."""

import asyncio
from typing import Any

import dagster as dg
from dagster import DagsterInstance, MetadataValue
from pydantic import Field

from asset_pipeline.catalog.reader import load_catalog
from asset_pipeline.defs.markdown import shown, table
from asset_pipeline.defs.resources.drafting import DraftingResource
from asset_pipeline.drafting.brief import brief_names, load_brief
from asset_pipeline.drafting.drafter import DraftReport
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.money import format_usd, to_decimal
from asset_pipeline.settings import load_settings

BRIEFS = dg.DynamicPartitionsDefinition(name="briefs")
"""A partition is one brief, its key the file's stem."""

BRIEF_KEY = dg.AssetKey("brief")


class DraftConfig(dg.Config):
    """What one run may be told."""

    count: int = Field(default=0, ge=0, le=100, description="How many prompts; 0: as it says.")
    again: bool = Field(
        default=False, description="Send a call whose reply was lost once more: it may pay twice."
    )


def sync_briefs(instance: DagsterInstance) -> list[str]:
    """Add the partitions of briefs that have none yet, and return all names."""
    names = brief_names(load_settings().prompts_dir)
    known = set(instance.get_dynamic_partitions("briefs"))
    new = [name for name in names if name not in known]
    if new:
        instance.add_dynamic_partitions("briefs", new)
    return names


@dg.observable_source_asset(
    name="brief",
    partitions_def=BRIEFS,
    group_name="prompts",
    description="The briefs as they stand in the prompts folder. A brief's data version is the "
    "hash of all that it says.",
)
def brief(context: dg.OpExecutionContext) -> dg.DataVersionsByPartition:
    """Observe all briefs that can be read; what is wrong with the others is logged."""
    settings = load_settings()
    catalog = load_catalog(settings.config_dir)
    versions: dict[str, str | dg.DataVersion] = {}
    for name in sync_briefs(context.instance):
        try:
            versions[name] = load_brief(settings.prompts_dir, name, catalog).sha256
        except AssetPipelineError as error:
            context.log.warning("%s", error)
    return dg.DataVersionsByPartition(versions)


@dg.asset(
    partitions_def=BRIEFS,
    deps=[BRIEF_KEY],
    group_name="prompts",
    kinds={"openrouter", "yaml"},
    code_version="1",
    description="Prompts that a language model drafted from a brief: proposals in the file beside "
    "it, which a person accepts. The same brief drafted again costs nothing.",
)
def prompt_drafts(
    context: dg.AssetExecutionContext, config: DraftConfig, drafting: DraftingResource
) -> dg.MaterializeResult[Any]:
    """Draft one brief; a failure is told with what it was charged, and not repeated."""
    settings = load_settings()
    try:
        wanted = load_brief(
            settings.prompts_dir, context.partition_key, load_catalog(settings.config_dir)
        )

        async def draft() -> DraftReport:
            async with drafting.open(context.run.run_id, again=config.again) as opened:
                existing = opened.prompts.library.of_kind(wanted.kind)
                return await opened.drafter.draft(
                    wanted, existing, opened.payment, count=config.count or None
                )

        report = asyncio.run(draft())
    except AssetPipelineError as error:
        # Sent again, it could be paid for again: a person decides.
        raise dg.Failure(str(error), allow_retries=False) from error
    return dg.MaterializeResult(
        metadata=_metadata(report), data_version=dg.DataVersion(report.file.response_sha256)
    )


def _metadata(report: DraftReport) -> dict[str, Any]:
    file = report.file
    rows = [(each.id, each.standing.value, shown(each.text)) for each in file.proposals]
    return {
        "proposals": MetadataValue.md(table(["prompt", "standing", "text"], rows)),
        "count": MetadataValue.int(len(file.proposals)),
        "file": MetadataValue.path(str(report.path)),
        "call": MetadataValue.text(file.call),
        "llm": MetadataValue.text(file.llm),
        "charged_usd": MetadataValue.float(float(to_decimal(report.charged))),
        "charged": MetadataValue.text(format_usd(report.charged)),
        "cached": MetadataValue.bool(report.is_cached),
        "brief_sha256": MetadataValue.text(file.subject_sha256),
    }
