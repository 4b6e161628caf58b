"""Running the project's Dagster jobs in this process, so that the UI shows them as any others."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import psutil
from dagster import DagsterInstance, DagsterRunStatus, ExecuteInProcessResult, RunsFilter
from dagster._core.events import RunFailureReason

from asset_pipeline.assets.clips import PARTITIONS_A_RUN
from asset_pipeline.assets.syncing import add_partitions, observe_edits
from asset_pipeline.assets.tagging import COMMAND_TAG
from asset_pipeline.automation.jobs import CLIP_JOBS, PUBLISH_JOB
from asset_pipeline.catalog.kind import Kind
from asset_pipeline.cli.watching import WatchedGeneration
from asset_pipeline.definitions import build_defs, default_resources
from asset_pipeline.errors import AssetPipelineError, ExitCode
from asset_pipeline.generation.batch import PromptOutcome
from asset_pipeline.generation.resume import Resumed
from asset_pipeline.ledger.reading import LedgerReader
from asset_pipeline.money import MicroUsd, to_decimal
from asset_pipeline.prompts.library import Library
from asset_pipeline.prompts.spec import Prompt
from asset_pipeline.resources.generation import GenerationResource
from asset_pipeline.resources.maintenance import MaintenanceResource

_HOST_TAG = "asset_pipeline/host"
_PROCESS_TAG = "asset_pipeline/process"
_UNFINISHED = [
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]

_SAME_START_SECONDS = 2

# The command shows progress and failures itself; the event log has all the rest.
_NO_TAGS: Mapping[str, str] = {}
_QUIET = {"console": {"config": {"log_level": "CRITICAL"}}}


class RunFailedError(AssetPipelineError):
    """A run ended without saying what became of its prompts."""

    exit_code = ExitCode.SOME_FAILED


@dataclass(frozen=True, slots=True)
class RunOptions:
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
        self._watched = WatchedGeneration(generation, self._hear)
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

    @property
    def warnings(self) -> Sequence[str]:
        """What the runs so far had to say about budgets that are being used up."""
        return self._watched.warnings

    def generate(self, prompts: Sequence[Prompt], options: RunOptions) -> None:
        """Run the clip jobs of the prompts, a thousand a run, one run after another.

        A failed prompt raises nothing: the watcher has heard of it.

        Raises:
            KeyboardInterrupt: A signal came; the run ended in order and is shown as cancelled.
            AssetPipelineError: A run broke as a whole; the runs after it were not started.
        """
        for kind in Kind:
            of_kind = [prompt.prompt_id for prompt in prompts if prompt.kind is kind]
            for start in range(0, len(of_kind), PARTITIONS_A_RUN):
                self._generate(kind, of_kind[start : start + PARTITIONS_A_RUN], options)

    def publish(self) -> None:
        """Publish the warehouse and the gallery.

        Raises:
            KeyboardInterrupt: A signal came.
            RunFailedError: They could not be written.
        """
        result = self._run(PUBLISH_JOB.name, {})
        if not result.success:
            raise RunFailedError(
                f"Publishing failed: {_cause(result)}",
                hint="The clips and the ledger are whole. Run the command again to publish them.",
            )

    def _generate(self, kind: Kind, prompt_ids: list[str], options: RunOptions) -> None:
        config: dict[str, Any] = {"prompt_ids": prompt_ids, "force": options.force}
        if options.max_in_flight is not None:
            config["max_in_flight"] = options.max_in_flight
        tags: dict[str, str] = {}
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
                f"The run of the {kind} clips broke: {_cause(result)}",
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
            tags={**_process_tags(), **tags},
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


def cancel_dead_runs(instance: DagsterInstance) -> int:
    """End the runs whose command was killed on this machine, and return how many those were.

    No daemon looks after a run in a command's own process: without this its partitions would show
    as being made for ever, and be neither missing nor failed.
    """
    filters = RunsFilter(statuses=_UNFINISHED, tags={_HOST_TAG: socket.gethostname()})
    dead = [run for run in instance.get_runs(filters=filters) if not _runs(run.tags[_PROCESS_TAG])]
    for run in dead:
        instance.report_run_canceled(run, message="The command that ran this was killed.")
    return len(dead)


def _process_tags() -> dict[str, str]:
    process = psutil.Process(os.getpid())
    return {
        _HOST_TAG: socket.gethostname(),
        _PROCESS_TAG: f"{process.pid}@{process.create_time():.0f}",
    }


def _runs(process_tag: str) -> bool:
    pid, _, started = process_tag.partition("@")
    try:
        process = psutil.Process(int(pid))
        # Two seconds of slack: the create time is derived from the boot time, which may move.
        return (
            abs(process.create_time() - float(started)) < _SAME_START_SECONDS
            and process.status() != psutil.STATUS_ZOMBIE
        )
    except (psutil.NoSuchProcess, ValueError):
        return False


def _was_interrupted(result: ExecuteInProcessResult) -> bool:
    if result.dagster_run.status is DagsterRunStatus.CANCELED:
        return True
    ends = [event for event in result.all_events if event.is_job_failure]
    return any(
        end.job_failure_data.failure_reason is RunFailureReason.UNEXPECTED_TERMINATION
        for end in ends
    )


def _cause(result: ExecuteInProcessResult) -> str:
    """Return the innermost error of a run that broke, as one line."""
    failures = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    error = next((data.error for data in failures if data.error is not None), None)
    while error is not None and error.cause is not None:
        error = error.cause
    return "no step said why." if error is None else error.message.strip()
