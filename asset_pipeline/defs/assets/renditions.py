"""The `image_rendition` and `audio_rendition` assets: files derived from clips."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import dagster as dg
from dagster import MetadataValue
from pydantic import Field

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.chunks import chunks
from asset_pipeline.clock import SystemClock
from asset_pipeline.defs.assets.prompts import prompt_key
from asset_pipeline.defs.events import log_materializations
from asset_pipeline.defs.markdown import shown, table
from asset_pipeline.defs.partitions import PARTITIONS
from asset_pipeline.defs.rendition_events import (
    CODE_VERSION,
    Rendered,
    data_version,
    materialization_of,
    metadata_of,
    tags_of,
)
from asset_pipeline.defs.rendition_inputs import Descent, descents_of
from asset_pipeline.defs.resources.ledger import LedgerResource
from asset_pipeline.defs.resources.prompt_library import PromptLibraryResource
from asset_pipeline.defs.resources.store import StoreResource
from asset_pipeline.defs.step_plan import announce, unfinished
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.ledger.provenance import ProvenanceBook
from asset_pipeline.ledger.renditions import RenditionRepository
from asset_pipeline.media.preview_cache import PreviewCache
from asset_pipeline.prompts.provenance import DEFAULT as DEFAULT_PROVENANCE
from asset_pipeline.prompts.provenance import ProvenancePolicy
from asset_pipeline.prompts.rendition_specs import DEFAULTS, Renditions
from asset_pipeline.provenance.marker import open_marker
from asset_pipeline.provenance.stamp import Stamp
from asset_pipeline.renditions.renderer import Renderer
from asset_pipeline.settings import load_settings
from asset_pipeline.stores.protocol import StoreUnavailableError

# Told of together, in one write. A prompt takes a third of a second, so they turn green within
# some seconds.
_PROMPTS_A_CHUNK = 32
_NAMED = 20
_TABLED = 500

# A store that is away for a moment; everything else would only fail again.
_RETRIES = dg.RetryPolicy(
    max_retries=2, delay=10, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS
)

# An edited prompt has no new clip yet, so there is nothing to render.
_WHEN_A_CLIP_LANDED = cast(
    "dg.AutomationCondition[Any]",
    dg.AutomationCondition.eager().ignore(
        dg.AssetSelection.assets(*(prompt_key(kind) for kind in Kind))
    ),
)

_DESCRIPTIONS = {
    Kind.IMAGE: "Pictures derived from each image clip in the sizes and formats of its collection: "
    "thumbnail, web and print, unless `renditions:` says otherwise.",
    Kind.AUDIO: "Sounds derived from each audio clip, at a target loudness under a true peak "
    "bound: mp3 for the web and a flac master, unless `renditions:` says otherwise.",
}


class RenditionsConfig(dg.Config):
    """The config of one run."""

    prompt_ids: list[str] = Field(
        default_factory=list,
        description="Exactly these prompts, wherever they stand, instead of the run's partition.",
    )


@dataclass(frozen=True, slots=True)
class _Failed:
    prompt_id: str
    error: AssetPipelineError


def build_rendition_asset(kind: Kind) -> dg.AssetsDefinition:
    """Return the asset of one kind's renditions."""

    @dg.asset(
        name=f"{kind}_rendition",
        partitions_def=PARTITIONS[kind],
        # The prompt too: Dagster's staleness looks one step up, and an edited prompt's rendition
        # is as stale as its clip.
        deps=[dg.AssetKey(kind.value), prompt_key(kind)],
        group_name="renditions",
        kinds={"python", kind.value},
        code_version=CODE_VERSION,
        dagster_type=dg.Nothing,  # pyright: ignore[reportArgumentType] -- mistyped in dagster
        output_required=False,
        retry_policy=_RETRIES,
        # Another policy than the clips': the daemon then starts this for exactly what landed.
        backfill_policy=dg.BackfillPolicy.single_run(),
        automation_condition=_WHEN_A_CLIP_LANDED,
        description=f"{_DESCRIPTIONS[kind]} An unchanged clip under an unchanged setting makes "
        "nothing again.",
    )
    def renditions(
        context: dg.AssetExecutionContext,
        config: RenditionsConfig,
        ledger: LedgerResource,
        store: StoreResource,
        prompt_library: PromptLibraryResource,
    ) -> Iterator[dg.MaterializeResult[Any]]:
        prompts = prompt_library.load().library.of_kind(kind)
        if config.prompt_ids and context.retry_number == 0:
            announce(context, set(config.prompt_ids).difference(context.partition_keys))
        prompt_ids = unfinished(context, config.prompt_ids or context.partition_keys)
        # A prompt that left the files keeps its clip, and the clip its usual renditions.
        settings = {
            prompt_id: prompts[prompt_id].renditions if prompt_id in prompts else DEFAULTS[kind]
            for prompt_id in prompt_ids
        }
        policies = {
            prompt_id: prompts[prompt_id].provenance if prompt_id in prompts else DEFAULT_PROVENANCE
            for prompt_id in prompt_ids
        }
        with ledger.open() as book:
            clock, files = SystemClock(), store.open()
            marker = open_marker(load_settings(), clock)
            if marker.note:
                context.log.warning("Nothing is signed: %s", marker.note)
            stamp = Stamp(marker, ProvenanceBook(book.engine, clock), files, context.run.run_id)
            renderer = Renderer(
                book,
                RenditionRepository(book.engine, clock),
                files,
                PreviewCache(load_settings().previews_dir),
                context.run.run_id,
                stamp,
            )
            is_alone = context.has_partition_key and not config.prompt_ids
            step = _RenditionStep(context, kind, renderer, settings, policies, is_alone=is_alone)
            for rendered, descent in step.run(prompt_ids):
                yield dg.MaterializeResult(
                    metadata=metadata_of(rendered),
                    data_version=dg.DataVersion(data_version(rendered)),
                    tags=tags_of(rendered, descent),
                )
        if step.failed:
            raise _failure_of(step.failed)

    return renditions


class _RenditionStep:
    """One step of one run: renders several clips at a time and reports each by itself."""

    def __init__(
        self,
        context: dg.AssetExecutionContext,
        kind: Kind,
        renderer: Renderer,
        settings: dict[str, Renditions],
        policies: dict[str, ProvenancePolicy],
        *,
        is_alone: bool,
    ) -> None:
        self._context = context
        self._is_alone = is_alone
        self._kind = kind
        self._renderer = renderer
        self._settings = settings
        self._policies = policies
        self.failed: list[_Failed] = []

    def run(self, prompt_ids: Sequence[str]) -> Iterator[tuple[Rendered, Descent]]:
        """Render the prompts; yield what the step itself has to yield: a run's only partition."""
        done = made = 0
        executor = ThreadPoolExecutor(load_settings().max_images_decoded, "render")
        try:
            for chunk in chunks(prompt_ids, _PROMPTS_A_CHUNK):
                # Read before the clips are: a clip that lands in between leaves its rendition
                # stale, and the other way round it would pass for made from it.
                descents = descents_of(self._context.instance, self._kind, chunk)
                results = list(executor.map(self._render, chunk))
                self.failed.extend(each for each in results if isinstance(each, _Failed))
                rendered = [each for each in results if isinstance(each, Rendered)]
                if self._is_alone:
                    yield from ((each, descents[each.prompt_id]) for each in rendered)
                else:
                    tell = partial(materialization_of, self._context.asset_key)
                    log_materializations(
                        self._context, [tell(each, descents[each.prompt_id]) for each in rendered]
                    )
                done += len(rendered)
                made += sum(each.made for each in rendered)
                self._context.log.info(
                    "%d of %d prompts rendered, %d failed, %d files made",
                    done,
                    len(prompt_ids),
                    len(self.failed),
                    made,
                )
        finally:
            executor.shutdown(cancel_futures=True)

    def _render(self, prompt_id: str) -> Rendered | _Failed:
        started = SystemClock().monotonic()
        try:
            clips = self._renderer.render(
                self._kind, prompt_id, self._settings[prompt_id], self._policies[prompt_id]
            )
        except AssetPipelineError as error:
            return _Failed(prompt_id, error)
        return Rendered(prompt_id, clips, SystemClock().monotonic() - started)


def _failure_of(failed: Sequence[_Failed]) -> dg.Failure:
    named = "; ".join(f"{each.prompt_id} ({each.error.message})" for each in failed[:_NAMED])
    more = f"; and {len(failed) - _NAMED} more" if len(failed) > _NAMED else ""
    listed = table(
        ("prompt", "what happened", "what to do"),
        [
            (shown(each.prompt_id), shown(each.error.message), shown(each.error.hint))
            for each in failed[:_TABLED]
        ],
    )
    return dg.Failure(
        f"{len(failed)} prompt{'s' if len(failed) != 1 else ''} could not be rendered: "
        f"{named}{more}",
        metadata={
            "failed": MetadataValue.int(len(failed)),
            "failed_prompts": MetadataValue.md(listed),
        },
        allow_retries=any(isinstance(each.error, StoreUnavailableError) for each in failed),
    )
