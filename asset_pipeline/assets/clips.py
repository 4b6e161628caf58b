"""The `image` and `audio` assets: one prompt a partition, one key or thousands a run."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import dagster as dg
from pydantic import Field

from asset_pipeline.assets.failing import failure_of
from asset_pipeline.assets.landing import (
    CODE_VERSION,
    data_version,
    materialization_of,
    metadata_of,
    tags_of,
)
from asset_pipeline.assets.partitions import PARTITIONS
from asset_pipeline.assets.planning import announce, family_started, unfinished
from asset_pipeline.assets.progress import ProgressLines
from asset_pipeline.assets.prompts import (
    changed_prompts,
    observation_ids,
    observe,
    prompt_key,
)
from asset_pipeline.assets.stopping import stopped_by_signals
from asset_pipeline.assets.telling import Teller, log_materializations
from asset_pipeline.catalog.kind import Kind
from asset_pipeline.clock import SystemClock
from asset_pipeline.generation.batch import PromptOutcome
from asset_pipeline.generation.failures import ErrorClass, GenerationFailure
from asset_pipeline.money import micro_usd
from asset_pipeline.prompts.spec import Prompt
from asset_pipeline.resources.generation import GenerationResource, RunLimits
from asset_pipeline.resources.library import PromptLibraryResource, Prompts

_NAMED = 20

# A backfill of 100,000 partitions becomes a hundred runs, each with one step and one process.
PARTITIONS_A_RUN = 1000

RETRIES = dg.RetryPolicy(
    max_retries=3, delay=5, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS
)


class ClipsConfig(dg.Config):
    """What one run may be told in the launchpad."""

    prompt_ids: list[str] = Field(
        default_factory=list,
        description="Exactly these prompts, wherever they stand, instead of the run's partition.",
    )
    max_usd: str | None = Field(
        default=None,
        pattern=r"^\d+(\.\d{1,6})?$",
        description="This run's own cap in US dollars, such as '2.50'; other budgets still hold.",
    )
    max_in_flight: int | None = Field(
        default=None, ge=1, le=1000, description="Clips at a time; the setting's, if not given."
    )
    force: bool = Field(
        default=False,
        description="Pay again for clips that are stored already. The old ones are superseded.",
    )


def build_clip_asset(kind: Kind, retries: dg.RetryPolicy = RETRIES) -> dg.AssetsDefinition:
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
        wanted = config.prompt_ids or list(context.partition_keys)
        step = _ClipStep(context, config, generation, prompt_library.load(), kind)
        alone = await step.run(unfinished(context, wanted))
        if alone is not None:
            # The tags replace Dagster's own, which looks for materializations of the upstream
            # alone and would record the data version of an observed prompt as the hash of nothing.
            yield dg.MaterializeResult(
                metadata=metadata_of(alone),
                data_version=dg.DataVersion(data_version(alone)),
                tags=tags_of(alone, step.observed(alone.prompt)),
            )
        if step.failed:
            failed = {outcome.prompt.prompt_id for outcome in step.failed}
            announce(context, failed.difference(context.partition_keys))
            raise failure_of(step.failed, retries_left=retries.max_retries - context.retry_number)

    return clips


class _ClipStep:
    """One step of one run: its prompts through the paid call, each told to Dagster as it lands."""

    def __init__(
        self,
        context: dg.AssetExecutionContext,
        config: ClipsConfig,
        generation: GenerationResource,
        prompts: Prompts,
        kind: Kind,
    ) -> None:
        self._context = context
        self._config = config
        self._generation = generation
        self._prompts = prompts
        self._kind = kind
        self._is_alone = context.has_partition_key and not config.prompt_ids
        self.failed: list[PromptOutcome] = []
        self._observations: Mapping[str, int] = {}

    async def run(self, prompt_ids: Sequence[str]) -> PromptOutcome | None:
        """Land the prompts; return the outcome that the step itself has to yield, if any.

        A run of one partition yields an ordinary result. A batch logs each partition's
        materialization soon after it landed, so that it turns green while the others still run.
        """
        chosen = self._choose(prompt_ids)
        ids = [prompt.prompt_id for prompt in chosen]
        instance = self._context.instance
        observe(instance, changed_prompts(instance, self._kind, chosen))
        self._observations = observation_ids(instance, self._kind, ids)
        teller = Teller(self._tell)
        alone: PromptOutcome | None = None
        async with (
            stopped_by_signals(),
            teller.telling(),
            self._generation.open_batch(self._limits(), self._prompts) as batch,
        ):
            async for outcome in batch.run(chosen, len(chosen)):
                if not outcome.done:
                    self.failed.append(outcome)
                elif self._is_alone:
                    alone = outcome
                else:
                    teller.add(outcome)
        return alone

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

    def _limits(self) -> RunLimits:
        cap = self._config.max_usd
        return RunLimits(
            run_id=self._context.run.run_id,
            run_cap=None if cap is None else micro_usd(cap),
            max_in_flight=self._config.max_in_flight,
            pay_again_before=family_started(self._context) if self._config.force else None,
            report=ProgressLines(self._context.log.info, SystemClock()),
            warn=self._context.log.warning,
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
