"""The `published` assets: current clips under readable names, for people to use."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import dagster as dg
from dagster import MetadataValue
from pydantic import Field

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.custody.export_names import DEFAULT_TEMPLATE, Template, named
from asset_pipeline.custody.export_targets import open_target
from asset_pipeline.custody.exporter import Copied, ExportResult
from asset_pipeline.custody.withdrawal import Withdrawn, leave_to_people, withdraw
from asset_pipeline.defs.partitions import PARTITIONS
from asset_pipeline.defs.resources.custody import CustodyResource
from asset_pipeline.defs.resources.ledger import LedgerResource
from asset_pipeline.defs.resources.prompt_library import PromptLibraryResource
from asset_pipeline.ledger.records import Clip
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
            current = [clip for each in wanted for clip in book.current_clips_of(kind, each)]
        clips = [clip for clip in current if _is_publishable(clip, config, strict)]
        target = open_target(settings.publish_url, settings_for(settings.publish_url, settings))
        with custody.exporting(target, run_id=context.run.run_id) as exporter:
            withdrawn = withdraw(
                exporter, kind, wanted, lambda clip: _may_stay(clip, clips, strict)
            )
            results = exporter.export(
                named(clips, Template.parse(DEFAULT_TEMPLATE)), lambda _: None
            )
            leave_to_people(exporter, withdrawn)
        states = [_PromptState(each, results, withdrawn) for each in wanted]
        _warn_of_kept(context, withdrawn)
        for state in states:
            if state.flaw(config, strict):
                continue
            if context.has_partition_key and not config.prompt_ids:
                yield dg.MaterializeResult(metadata=state.metadata())
            else:
                context.log_event(
                    dg.AssetMaterialization(
                        context.asset_key, partition=state.prompt_id, metadata=state.metadata()
                    )
                )
        failed = [flaw for state in states if (flaw := state.flaw(config, strict))]
        if failed:
            raise dg.Failure(
                f"{len(failed):,} prompts were not published: {'; '.join(failed[:_NAMED])}",
                allow_retries=False,
            )

    return published


class _PromptState:
    """What became of one prompt's files."""

    def __init__(
        self, prompt_id: str, results: Sequence[ExportResult], withdrawn: Sequence[Withdrawn]
    ) -> None:
        self.prompt_id = prompt_id
        self._results = [each for each in results if each.named.clip.prompt_id == prompt_id]
        self._withdrawn = [each for each in withdrawn if each.clip.prompt_id == prompt_id]

    def flaw(self, config: PublishConfig, strict: Collection[str]) -> str:
        """Return why the prompt is not published; empty when all is as it should be."""
        flaws = [each for each in self._results if not each.is_there]
        if flaws:
            return f"{self.prompt_id}: {flaws[0].reason}"
        # A run that a verdict asked for finds what is approved by now, and that may be nothing.
        if self._results or self._withdrawn or config.approved_only:
            return ""
        nothing = "no approved clip" if self.prompt_id in strict else "no clip to publish"
        return f"{self.prompt_id}: it has {nothing}"

    def metadata(self) -> dict[str, Any]:
        """Return what the partition's page shows."""
        return {
            "files": MetadataValue.json([each.uri for each in self._results]),
            "sha256": MetadataValue.json([_sha256(each) for each in self._results]),
            "approved": MetadataValue.json(
                [
                    each.named.clip.sha256
                    for each in self._results
                    if each.named.clip.review_state == Verdict.APPROVED.value
                ]
            ),
            "copied": MetadataValue.int(
                sum(each.result is Copied.COPIED for each in self._results)
            ),
            "withdrawn": MetadataValue.json([each.uri for each in self._withdrawn]),
        }


def _is_publishable(clip: Clip, config: PublishConfig, strict: Collection[str]) -> bool:
    """Tell whether a current clip is to be published: once it was judged, the verdict decides."""
    if clip.review_state == Verdict.APPROVED.value:
        return True
    return clip.review_id is None and not (config.approved_only or clip.prompt_id in strict)


def _may_stay(clip: Clip, published: Sequence[Clip], strict: Collection[str]) -> bool:
    """Tell whether a file that was published earlier may stay.

    One that nobody ever judged stays until another takes its place, unless its collection asks for
    approval: whoever reviews nothing loses nothing by it.
    """
    if any(clip.clip_id == each.clip_id for each in published):
        return True
    return clip.review_id is None and clip.prompt_id not in strict


def _warn_of_kept(context: dg.AssetExecutionContext, withdrawn: Sequence[Withdrawn]) -> None:
    kept = [each.uri for each in withdrawn if not each.removed]
    if kept:
        context.log.warning(
            "%d files of clips that are not to be published were changed by somebody and stay, "
            "out of the manifest: %s",
            len(kept),
            ", ".join(kept[:_NAMED]),
        )


def _sha256(result: ExportResult) -> str:
    return result.named.clip.sha256 if result.file is None else result.file.sha256
