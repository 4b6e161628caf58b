"""The `image` and `audio` assets: one prompt a partition, one key or thousands a run."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import dagster as dg

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.clock import SystemClock
from asset_pipeline.defs.assets.prompts import (
    changed_prompts,
    observation_ids,
    observe,
    prompt_key,
)
from asset_pipeline.defs.events import EventBatcher, log_materializations, log_observations
from asset_pipeline.defs.failure_events import (
    failed_partition,
    failure_of,
    keep_run_from_retries,
    tag_ended,
)
from asset_pipeline.defs.materializations import (
    CODE_VERSION,
    data_version,
    materialization_of,
    metadata_of,
    tags_of,
)
from asset_pipeline.defs.openlineage import RunLineage, send
from asset_pipeline.defs.partitions import PARTITIONS
from asset_pipeline.defs.progress_log import ProgressLines
from asset_pipeline.defs.resources.generation import GenerationResource, RunLimits
from asset_pipeline.defs.resources.prompt_library import PromptLibraryResource, Prompts
from asset_pipeline.defs.run_config import ClipsConfig, RunOptions, check_config
from asset_pipeline.defs.run_tags import LAUNCH_TAG, budget_id_of, run_span, tag_run
from asset_pipeline.defs.signals import stopped_by_signals
from asset_pipeline.defs.step_plan import announce, family_started, unfinished
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.generation.batch import PromptOutcome
from asset_pipeline.generation.failures import ErrorClass, GenerationFailure
from asset_pipeline.prompts.spec import Prompt
from asset_pipeline.settings import load_settings
from asset_pipeline.tracing.spans import span

_NAMED = 20

# dagster.yaml bounds how many of these steps run at a time, whatever launched them.
POOL = "replicate"

# A backfill of 100,000 partitions becomes a hundred runs, each with one step and one process.
PARTITIONS_A_RUN = 1000


def build_clip_asset(kind: Kind, retries: dg.RetryPolicy) -> dg.AssetsDefinition:
    """Return the asset of one kind's clips, retried as ``retries`` says."""

    @dg.asset(
        name=kind.value,
        partitions_def=PARTITIONS[kind],
        deps=[prompt_key(kind)],
        group_name="clips",
        kinds={"replicate", kind.value},
        code_version=CODE_VERSION,
        dagster_type=dg.Nothing,  # pyright: ignore[reportArgumentType] -- mistyped in dagster
        output_required=False,
        retry_policy=retries,
        pool=POOL,
        backfill_policy=dg.BackfillPolicy.multi_run(PARTITIONS_A_RUN),
        description=f"Verified {kind} clips made by the prompt's model; one prediction a variant, "
        "never paid twice.",
    )
    async def clips(
        context: dg.AssetExecutionContext,
        config: ClipsConfig,
        generation: GenerationResource,
        prompt_library: PromptLibraryResource,
    ) -> AsyncIterator[dg.MaterializeResult[Any]]:
        # Before the prompts are read: a greater number never stands for an older text.
        order = generation.take_order()
        prompts = prompt_library.load()
        orders = check_config(config, kind, prompts)
        step = _ClipStep(context, orders, generation, prompts, kind, order)
        wanted = orders.prompt_ids or context.partition_keys
        alone = await step.run(unfinished(context, wanted))
        if alone is not None:
            # The tags replace Dagster's own, which looks for materializations of the upstream
            # alone and would record the data version of an observed prompt as the hash of nothing.
            yield dg.MaterializeResult(
                metadata=metadata_of(alone),
                data_version=dg.DataVersion(data_version(alone)),
                tags=tags_of(alone, step.observed(alone.prompt)),
            )
        step.tell_lineage()
        if step.failed:
            raise step.failure(max_retries=retries.max_retries)

    return clips


class _ClipStep:
    """One step of one run: its prompts through the paid call, each told to Dagster as it lands."""

    def __init__(
        self,
        context: dg.AssetExecutionContext,
        orders: RunOptions,
        generation: GenerationResource,
        prompts: Prompts,
        kind: Kind,
        wanted_order: int,
    ) -> None:
        self._context = context
        self._wanted_order = wanted_order
        self._orders = orders
        self._generation = generation
        self._prompts = prompts
        self._kind = kind
        self._launch_id = context.run.tags.get(LAUNCH_TAG, "")
        self._is_alone = context.has_partition_key and not orders.prompt_ids
        self.failed: list[PromptOutcome] = []
        self._observations: Mapping[str, int] = {}
        self._lines = ProgressLines(context.log.info, SystemClock())
        wanted = load_settings().lineage_url is not None
        self._lineage = RunLineage(context.run.run_id, kind.value) if wanted else None

    async def run(self, prompt_ids: Sequence[str]) -> PromptOutcome | None:
        """Land the prompts; return the outcome that the step itself has to yield, if any.

        A run of one partition yields an ordinary result. A batch logs each partition's
        materialization soon after it landed, so that it turns green while the others still run.
        """
        context = self._context
        if context.retry_number == 0:
            # Before anything is observed: what is observed after it was planned is what was made.
            announce(context, set(prompt_ids).difference(context.partition_keys))
        chosen = self._choose(prompt_ids)
        tag_run(context, self._kind, chosen)
        ids = [prompt.prompt_id for prompt in chosen]
        instance = self._context.instance
        observe(instance, changed_prompts(instance, self._kind, chosen))
        self._observations = observation_ids(instance, self._kind, ids)
        chosen = self._override(chosen)
        teller = EventBatcher(self._tell)
        with run_span(context.run), span("batch", asset_pipeline__prompts=len(chosen)):
            return await self._land(chosen, teller)

    async def _land(self, chosen: Sequence[Prompt], teller: EventBatcher) -> PromptOutcome | None:
        context = self._context
        alone: PromptOutcome | None = None
        async with (
            stopped_by_signals(),
            teller.telling(),
            self._lines.each_five_seconds(),
            self._generation.open_batch(self._limits(), self._prompts) as batch,
        ):
            async for outcome in batch.run(chosen, len(chosen)):
                if self._lineage is not None:
                    self._lineage.add(outcome)
                if not outcome.done:
                    self.failed.append(outcome)
                elif outcome.overtaken:
                    # Its partition shows the newest request, and must not go back to an older one.
                    context.log.info(
                        "%s landed, but something newer is wanted of it by now: what was paid for "
                        "is stored and superseded.",
                        outcome.prompt.prompt_id,
                    )
                    self._settle([outcome])
                elif self._is_alone:
                    alone = outcome
                else:
                    teller.add(outcome)
        return alone

    def tell_lineage(self) -> None:
        """Send the run's lineage, if somebody collects it."""
        url = load_settings().lineage_url
        if url and self._lineage is not None:
            event = self._lineage.event(SystemClock().now(), failed=bool(self.failed))
            send(url, [event])

    def failure(self, *, max_retries: int) -> dg.Failure | dg.RetryRequested:
        """Return what to raise for those that failed; a final failure is told partition by one."""
        context = self._context
        failure = failure_of(
            self.failed, retry_number=context.retry_number, max_retries=max_retries
        )
        if isinstance(failure, dg.Failure):
            key = context.asset_key
            log_observations(context, [failed_partition(outcome, key) for outcome in self.failed])
            self._generation.note_endings(self.failed, context.run.run_id)
            self._settle(self.failed)
            tag_ended(context, self.failed)
            keep_run_from_retries(context)
        return failure

    def observed(self, prompt: Prompt) -> int | None:
        """Return the id of the observation that says how a prompt stands."""
        return self._observations.get(prompt.prompt_id)

    def _tell(self, outcomes: Sequence[PromptOutcome]) -> None:
        key = self._context.asset_key
        log_materializations(
            self._context,
            [
                materialization_of(outcome, key, self.observed(outcome.prompt))
                for outcome in outcomes
            ],
        )
        self._settle(outcomes)

    def _settle(self, outcomes: Sequence[PromptOutcome]) -> None:
        """Tell those who submitted the prompts what became of them."""
        if self._launch_id and outcomes:
            self._generation.settle(self._launch_id, outcomes)

    def _limits(self) -> RunLimits:
        return RunLimits(
            run_id=self._context.run.run_id,
            run_cap=self._orders.run_cap,
            budget_id=budget_id_of(self._context.run),
            max_in_flight=self._orders.max_in_flight,
            earlier_tries=self._context.retry_number,
            pay_again_before=family_started(self._context) if self._orders.force else None,
            report=self._lines,
            warn=self._context.log.warning,
            wanted_order=self._wanted_order,
            launch_id=self._launch_id,
        )

    def _choose(self, prompt_ids: Sequence[str]) -> list[Prompt]:
        """Return the prompts of the partitions; one without a prompt file fails by name."""
        known = self._prompts.library.of_kind(self._kind)
        missing = [prompt_id for prompt_id in prompt_ids if prompt_id not in known]
        if missing:
            named = ", ".join(missing[:_NAMED])
            self._context.log.error(
                "%d partitions have no usable prompt in the prompt files: %s. "
                "Run `asset-pipeline prompts validate`.",
                len(missing),
                named,
            )
            self.failed.extend(self._absent(prompt_id) for prompt_id in missing)
        return [known[prompt_id] for prompt_id in prompt_ids if prompt_id in known]

    def _override(self, chosen: Sequence[Prompt]) -> Sequence[Prompt]:
        """Return the prompts as this run wants them; one that can't be made so fails by name.

        Their clips are not what the files ask for, and have to show as stale. Dagster compares an
        upstream's events since the one that was used. So the prompt is observed as this run wants
        it, for the clip to point to, and then again as its file has it.
        """
        if not self._orders.override:
            return chosen
        changed: dict[str, Prompt] = {}
        kept: list[Prompt] = []
        for prompt in chosen:
            try:
                wanted = self._orders.override.apply(prompt, self._prompts.catalog)
            except AssetPipelineError as error:
                cause = GenerationFailure(ErrorClass.INVALID_INPUT, error.message)
                self.failed.append(PromptOutcome(prompt, failures=[cause]))
                continue
            kept.append(wanted)
            if wanted.prompt_hash != prompt.prompt_hash:
                changed[prompt.prompt_id] = prompt
        if changed:
            instance = self._context.instance
            observe(instance, [prompt for prompt in kept if prompt.prompt_id in changed])
            used = observation_ids(instance, self._kind, changed)
            observe(instance, changed.values())
            self._observations = {**self._observations, **used}
        return kept

    def _absent(self, prompt_id: str) -> PromptOutcome:
        prompt = Prompt(
            kind=self._kind,
            prompt_id=prompt_id,
            collection="",
            text="",
            style="",
            model="",
            variants=1,
            inputs={},
            tags=(),
            reference=None,
            reference_sha256=None,
            path="",
        )
        cause = GenerationFailure(
            ErrorClass.INVALID_INPUT, "there is no usable prompt of this id in the prompt files"
        )
        return PromptOutcome(prompt, failures=[cause])
