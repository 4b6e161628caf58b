"""The `published` assets: current clips under readable names, for people to use."""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg
from dagster import MetadataValue
from pydantic import Field

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.custody.export_names import DEFAULT_TEMPLATE, Template, named
from asset_pipeline.custody.export_targets import open_target
from asset_pipeline.custody.exporter import Copied, ExportResult
from asset_pipeline.defs.partitions import PARTITIONS
from asset_pipeline.defs.resources.custody import CustodyResource
from asset_pipeline.defs.resources.ledger import LedgerResource
from asset_pipeline.defs.resources.prompt_library import PromptLibraryResource
from asset_pipeline.ledger.service_schema import Verdict
from asset_pipeline.settings import load_settings
from asset_pipeline.stores.environment import settings_for

_NAMED = 20


class PublishConfig(dg.Config):
    """What one run may be told; leave all of it out for an ordinary run."""

    prompt_ids: list[str] = Field(
        default_factory=list,
        description="Exactly these prompts, wherever they stand, instead of the run's partition.",
    )
    approved_only: bool = Field(
        default=False,
        description="Only clips that somebody approved, as they stand in the ledger when this step "
        "runs. Of collections with `require_approval` it is never otherwise.",
    )


def build_published_asset(kind: Kind) -> dg.AssetsDefinition:
    """Return the asset of one kind's published clips."""

    @dg.asset(
        key=dg.AssetKey(["published", kind.value]),
        partitions_def=PARTITIONS[kind],
        deps=[dg.AssetKey(kind.value)],
        group_name="published",
        kinds={"file", kind.value},
        output_required=False,
        # Another policy than the clips': the daemon then starts this for exactly what landed.
        backfill_policy=dg.BackfillPolicy.single_run(),
        description=f"The current {kind} clips of each prompt at ASSET_PIPELINE_PUBLISH_URL, under "
        "readable names, with a manifest and checksums. It runs only when somebody asks for it.",
    )
    def published(
        context: dg.AssetExecutionContext,
        config: PublishConfig,
        ledger: LedgerResource,
        custody: CustodyResource,
        prompt_library: PromptLibraryResource,
    ) -> Iterator[dg.MaterializeResult[Any]]:
        settings = load_settings()
        wanted = config.prompt_ids or list(context.partition_keys)
        strict = prompt_library.load().library.needing_approval(kind)
        # Asked here and now: what was approved may have been rejected or replaced since.
        with ledger.open() as book:
            by_prompt = {
                each: [
                    clip
                    for clip in book.current_clips_of(kind, each)
                    if clip.review_state == Verdict.APPROVED.value
                    or not (config.approved_only or each in strict)
                ]
                for each in wanted
            }
        clips = [clip for of_prompt in by_prompt.values() for clip in of_prompt]
        target = open_target(settings.publish_url, settings_for(settings.publish_url, settings))
        with custody.exporting(target, run_id=context.run.run_id) as exporter:
            results = exporter.export(
                named(clips, Template.parse(DEFAULT_TEMPLATE)), lambda _: None
            )
        failed: list[str] = []
        for prompt_id in wanted:
            of_prompt = [each for each in results if each.named.clip.prompt_id == prompt_id]
            flaws = [each for each in of_prompt if not each.is_there]
            if flaws or not of_prompt:
                needs = config.approved_only or prompt_id in strict
                nothing = "it has no approved clip" if needs else "it has no stored clip"
                why = flaws[0].reason if flaws else nothing
                failed.append(f"{prompt_id}: {why}")
            elif context.has_partition_key and not config.prompt_ids:
                yield dg.MaterializeResult(metadata=_metadata(of_prompt))
            else:
                context.log_event(
                    dg.AssetMaterialization(
                        context.asset_key, partition=prompt_id, metadata=_metadata(of_prompt)
                    )
                )
        if failed:
            raise dg.Failure(
                f"{len(failed):,} prompts were not published: {'; '.join(failed[:_NAMED])}",
                allow_retries=False,
            )

    return published


def _sha256(result: ExportResult) -> str:
    return result.named.clip.sha256 if result.file is None else result.file.sha256


def _metadata(results: Sequence[ExportResult]) -> dict[str, Any]:
    return {
        "files": MetadataValue.json([each.uri for each in results]),
        "sha256": MetadataValue.json([_sha256(each) for each in results]),
        "copied": MetadataValue.int(sum(each.result is Copied.COPIED for each in results)),
    }
