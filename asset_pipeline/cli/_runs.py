"""Running the project's Dagster jobs in this process, so that the UI shows them as any others."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Generator,
    Iterable,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, cast

import dagster as dg
from dagster import DagsterInstance, DagsterRunStatus, ExecuteInProcessResult, RunsFilter
from sqlalchemy.exc import OperationalError

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.chunks import chunks
from asset_pipeline.definitions import build_defs, default_resources
from asset_pipeline.defs._dagster_private import RunFailureReason
from asset_pipeline.defs.assets.clips import PARTITIONS_A_RUN
from asset_pipeline.defs.jobs import CLIP_JOBS, PUBLISH_JOB
from asset_pipeline.defs.partition_sync import add_partitions, observe_edits
from asset_pipeline.defs.resources.generation import GenerationResource, RunLimits
from asset_pipeline.defs.resources.maintenance import MaintenanceResource
from asset_pipeline.defs.resources.prompt_library import Prompts
from asset_pipeline.defs.run_tags import (
    COMMAND_TAG,
    IN_THE_UI,
    PROMPTS_TAG,
    UNFINISHED,
    trace_tags,
)
from asset_pipeline.errors import AssetPipelineError, ExitCode
from asset_pipeline.generation.batch import Batch, PromptOutcome
from asset_pipeline.generation.reconciliation.resume import Resumed
from asset_pipeline.ledger.engine import LedgerError
from asset_pipeline.ledger.records import Intent
from asset_pipeline.ledger.reports import LedgerReader
from asset_pipeline.money import MicroUsd, to_decimal
from asset_pipeline.processes import identity_from, this_process
from asset_pipeline.prompts.library import Library
from asset_pipeline.prompts.spec import Prompt
from asset_pipeline.tracing.spans import traceparent


class ObservedGeneration:
    """Stands in for the generation resource in a run of this process.

    It is handed to Dagster as a ready object: Dagster builds configurable resources anew from
    their config for each run, and a watcher is none.

    Args:
        generation: What opens the batches.
        watch: Told of each outcome, in the event loop of the run: it must return at once.

    Attributes:
        error: What ended a whole batch.
        interrupted: Whether a signal did.
        warnings: What was said about budgets that are being used up.
    """

    def __init__(
        self, generation: GenerationResource, watch: Callable[[PromptOutcome], None]
    ) -> None:
        self._generation = generation
        self._watch = watch
        self.error: AssetPipelineError | None = None
        self.interrupted = False
        self.warnings: list[str] = []
        self._batch: Batch | None = None

    def waiting(self) -> int:
        """Return how many clips wait for reserved money to come back."""
        return 0 if self._batch is None else self._batch.waiting

    @contextlib.asynccontextmanager
    async def open_batch(
        self, limits: RunLimits, prompts: Prompts
    ) -> AsyncGenerator[ObservedBatch]:
        """Yield a batch as the resource does.

        An error that ends the whole batch, such as a missing token or a full disk, would be the
        same in five seconds.
        """

        def warn(sentence: str) -> None:
            self.warnings.append(sentence)
            if limits.warn is not None:
                limits.warn(sentence)

        heard = replace(limits, warn=warn)
        with self._keeping_errors():
            async with self._generation.open_batch(heard, prompts) as batch:
                self._batch = batch
                yield ObservedBatch(batch, self._watch)

    def take_order(self) -> int:
        """Return the run's place in the order of what is wanted, as the resource does."""
        with self._keeping_errors():
            return self._generation.take_order()

    @contextlib.contextmanager
    def _keeping_errors(self) -> Generator[None]:
        """Keep what ends a whole run for the command to tell, and let Dagster not retry it."""
        try:
            yield
        except asyncio.CancelledError:
            # Dagster applies the retry policy to interruptions too, and would begin again.
            self.interrupted = True
            raise dg.Failure("Interrupted.", allow_retries=False) from None
        except AssetPipelineError as error:
            self.error = error
            raise dg.Failure(str(error), allow_retries=False) from error
        except (OperationalError, OSError) as error:
            self.error = _sentence(error)
            raise dg.Failure(str(self.error), allow_retries=False) from error

    def note_endings(self, outcomes: Iterable[PromptOutcome], run_id: str) -> None:
        """Write down how the run ended prompts, as the resource does."""
        self._generation.note_endings(outcomes, run_id)


class ObservedBatch:
    """A batch that shows each outcome to the watcher before it passes it on."""

    def __init__(self, batch: Batch, watch: Callable[[PromptOutcome], None]) -> None:
        self._batch = batch
        self._watch = watch

    async def run(self, prompts: Iterable[Prompt], total: int) -> AsyncIterator[PromptOutcome]:
        """Yield the outcomes of the batch."""
        async for outcome in self._batch.run(prompts, total):
            self._watch(outcome)
            yield outcome


def _sentence(error: OperationalError | OSError) -> AssetPipelineError:
    cause = error.orig if isinstance(error, OperationalError) else error
    return LedgerError(
        f"The data folder cannot be written: {cause}.",
        hint="Check its permissions and the room on the disk, then run the command again: "
        "what is paid for is in the ledger and is not paid again.",
    )


_HOST_TAG = "asset_pipeline/host"
_PROCESS_TAG = "asset_pipeline/process"

# The command shows progress and failures itself; the event log has all the rest.
_NO_TAGS: Mapping[str, str] = {}
_QUIET = {"console": {"config": {"log_level": "CRITICAL"}}}


class RunFailedError(AssetPipelineError):
    """A run ended without saying what became of its prompts."""

    exit_code = ExitCode.SOME_FAILED


@dataclass(frozen=True, slots=True)
class CommandRunOptions:
    """What the clip runs are told.

    Attributes:
        max_usd: A cap for all runs of the command together.
    """

    max_usd: MicroUsd | None = None
    max_in_flight: int | None = None
    force: bool = False


class Runner:
    """Runs the clip jobs and the publishing job on an instance.

    Args:
        instance: Where the events go.
        ledger: Says what the runs so far were charged, and what is open.
        watch: Told of each prompt's outcome.
    """

    def __init__(
        self,
        instance: DagsterInstance,
        ledger: LedgerReader,
        watch: Callable[[PromptOutcome], None],
    ) -> None:
        resources = default_resources()
        generation = cast("GenerationResource", resources["generation"])
        # Of an interrupted batch it reports each cancelled task, with a traceback.
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)
        self._watched = ObservedGeneration(generation, self._hear)
        self._defs = build_defs({"generation": self._watched})
        self._instance = instance
        self.ledger = ledger
        self._maintenance = cast("MaintenanceResource", resources["maintenance"])
        self._watch = watch
        self._heard: set[str] = set()
        self._started = datetime.now(UTC)
        self._command_id = f"command-{uuid.uuid4().hex[:16]}"
        self._run_ids: list[str] = []

    def charged(self) -> MicroUsd:
        """Return what the runs so far were charged."""
        return self.ledger.charged_by(self._run_ids, self._started)

    def finish_open(self) -> list[Resumed]:
        """Finish what is open in the ledger, whoever left it; nothing new is sent.

        Returns:
            What became of each, oldest first; what it was charged counts as the command's.

        Raises:
            AssetPipelineError: Provider, ledger or store can't be opened.
        """
        self._run_ids.append(self._command_id)
        return asyncio.run(self._maintenance.resume_open_intents(self._command_id))

    def noted_charges(self) -> list[Intent]:
        """Return the charges since the command began that need a look."""
        return self.ledger.noted_charges(self._started)

    def waiting(self) -> int:
        """Return how many clips wait for reserved money to come back."""
        return self._watched.waiting()

    @property
    def warnings(self) -> Sequence[str]:
        """What the runs so far had to say about budgets that are being used up."""
        return self._watched.warnings

    def generate(self, prompts: Sequence[Prompt], options: CommandRunOptions) -> None:
        """Run the clip jobs of the prompts, a thousand a run, one run after another.

        A failed prompt raises nothing: the watcher has heard of it.

        Raises:
            KeyboardInterrupt: A signal came; the run ended in order and is shown as cancelled.
            AssetPipelineError: A run broke as a whole; the runs after it were not started.
        """
        for kind in Kind:
            of_kind = [prompt.prompt_id for prompt in prompts if prompt.kind is kind]
            for prompt_ids in chunks(of_kind, PARTITIONS_A_RUN):
                self._generate(kind, prompt_ids, options)

    def publish(self) -> None:
        """Publish the warehouse and the gallery.

        Raises:
            KeyboardInterrupt: A signal came.
            LedgerError: The ledger is not the one any more that the runs wrote to.
            RunFailedError: They could not be written.
        """
        self.charged()  # publishing opens the ledger anew, and would take an empty one for it
        result = self._run(PUBLISH_JOB.name, {})
        if not result.success:
            raise RunFailedError(
                f"Publishing failed: {cause_of(result)}",
                hint="The clips and the ledger are whole. Run the command again to publish them.",
            )

    def _generate(self, kind: Kind, prompt_ids: list[str], options: CommandRunOptions) -> None:
        config: dict[str, Any] = {"prompt_ids": prompt_ids, "force": options.force}
        if options.max_in_flight is not None:
            config["max_in_flight"] = options.max_in_flight
        tags = {PROMPTS_TAG: f"{len(prompt_ids):,}"}
        if options.max_usd is not None:
            # One budget of the command's: what a run leaves reserved counts for the next one too.
            config["max_usd"] = str(to_decimal(options.max_usd))
            tags[COMMAND_TAG] = self._command_id
        self._heard.clear()
        result = self._run(
            CLIP_JOBS[kind].name, {"ops": {kind.value: {"config": config}}}, prompt_ids[0], tags
        )
        if self._watched.error is not None:
            raise self._watched.error
        if not result.success and self._heard.issuperset(prompt_ids):
            return
        if not result.success:
            raise RunFailedError(
                f"The run of the {kind} clips broke: {cause_of(result)}",
                hint=f"`make dev` shows run {result.run_id}; what landed is kept.",
            )

    def _run(
        self,
        job: str,
        config: Mapping[str, Any],
        partition_key: str | None = None,
        tags: Mapping[str, str] = _NO_TAGS,
    ) -> ExecuteInProcessResult:
        result = self._defs.resolve_job_def(job).execute_in_process(
            instance=self._instance,
            partition_key=partition_key,
            run_config={**config, "loggers": _QUIET},
            tags={
                **process_tags(),
                **IN_THE_UI,
                **trace_tags(list(filter(None, [traceparent()]))),
                **tags,
            },
            raise_on_error=False,
        )
        self._run_ids.append(result.run_id)
        if self._watched.interrupted or _was_interrupted(result):
            # Dagster calls it a failure because nobody pressed its own button. It is none: the
            # partitions show as missing again, so that the next `generate` goes on with them.
            self._instance.report_run_canceled(result.dagster_run, message="Interrupted.")
            raise KeyboardInterrupt
        return result

    def _hear(self, outcome: PromptOutcome) -> None:
        self._heard.add(outcome.prompt.prompt_id)
        self._watch(outcome)


def sync_library(instance: DagsterInstance, library: Library) -> None:
    """Add the partitions of new prompts, and observe those whose clips are stale by now.

    The others are observed by the sensor and by the runs: for 100,000 that takes half a minute.
    """
    for kind in Kind:
        prompts = library.of_kind(kind)
        add_partitions(instance, kind, prompts.values())
        observe_edits(instance, kind, prompts)


def cancel_dead_runs(instance: DagsterInstance, ledger: LedgerReader) -> int:
    """End the runs whose command was killed on this machine, and return how many those were.

    No daemon looks after a run in a command's own process: without this its partitions would show
    as being made for ever, and be neither missing nor failed. Of a run whose process can't be
    looked at from here, as one in another container with this host's name, the ledger's heartbeat
    tells.
    """
    host = this_process().host
    filters = RunsFilter(statuses=UNFINISHED, tags={_HOST_TAG: host})
    runs = {run.run_id: run for run in instance.get_runs(filters=filters)}
    known = {
        run_id: None if process is None else process.runs()
        for run_id, run in runs.items()
        for process in [identity_from(host, run.tags.get(_PROCESS_TAG, ""))]
    }
    unseen = [run_id for run_id, is_running in known.items() if is_running is None]
    silent = ledger.dead_runs(unseen, datetime.now(UTC))
    dead = [run_id for run_id, is_running in known.items() if is_running is False]
    for run_id in (*dead, *sorted(silent)):
        message = "The command that ran this was killed."
        instance.report_run_canceled(runs[run_id], message=message)
    return len(dead) + len(silent)


def process_tags() -> dict[str, str]:
    """Return the tags by which a run of a killed command is known."""
    process = this_process()
    return {_HOST_TAG: process.host, _PROCESS_TAG: process.to_text()}


def _was_interrupted(result: ExecuteInProcessResult) -> bool:
    if result.dagster_run.status is DagsterRunStatus.CANCELED:
        return True
    ends = [event for event in result.all_events if event.is_job_failure]
    return any(
        end.job_failure_data.failure_reason is RunFailureReason.UNEXPECTED_TERMINATION
        for end in ends
    )


def cause_of(result: ExecuteInProcessResult) -> str:
    """Return the innermost error of a run that broke, as one line."""
    failures = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    error = next((data.error for data in failures if data.error is not None), None)
    while error is not None and error.cause is not None:
        error = error.cause
    return "no step said why." if error is None else error.message.strip()
