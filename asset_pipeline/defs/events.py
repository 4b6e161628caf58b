"""Telling Dagster of landed partitions while a batch runs: many events in one write."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncGenerator, Callable, Sequence

import dagster as dg
from dagster import DagsterEvent, EventLogEntry
from dagster._core.events import AssetObservationData, StepMaterializationData

from asset_pipeline.clock import SystemClock
from asset_pipeline.generation.batch import PromptOutcome

# A partition turns green so soon after it landed. An event alone costs 5 ms of the interpreter's
# lock, in which sixty clips stand still; thirty together cost 1 ms each.
_PAUSE = 0.5


class EventBatcher:
    """Gathers outcomes and tells of them in a thread, those that came meanwhile together.

    Args:
        tell: Stores what is to be known of some outcomes; blocking.
    """

    def __init__(self, tell: Callable[[Sequence[PromptOutcome]], None]) -> None:
        self._tell = tell
        self._landed: list[PromptOutcome] = []
        self._some = asyncio.Event()

    def add(self, outcome: PromptOutcome) -> None:
        """Have an outcome told of within a second."""
        self._landed.append(outcome)
        self._some.set()

    @contextlib.asynccontextmanager
    async def telling(self) -> AsyncGenerator[None]:
        """Tell of what is added within the block, and of all of it when the block has ended."""
        task = asyncio.create_task(self._keep_telling())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            self._flush()

    async def _keep_telling(self) -> None:
        while True:
            await self._some.wait()
            # To its end, even when the batch is: what a thread has begun can't be called back.
            telling = asyncio.ensure_future(asyncio.to_thread(self._flush))
            try:
                await asyncio.shield(telling)
            except asyncio.CancelledError:
                await telling
                raise
            await asyncio.sleep(_PAUSE)

    def _flush(self) -> None:
        outcomes, self._landed = self._landed, []
        self._some.clear()
        if outcomes:
            self._tell(outcomes)


def log_materializations(
    context: dg.AssetExecutionContext, materializations: Sequence[dg.AssetMaterialization]
) -> None:
    """Log materializations as `context.log_event` does, but in one write for all of them."""
    kind = dg.DagsterEventType.ASSET_MATERIALIZATION
    _log(
        context,
        kind,
        [
            (StepMaterializationData(each), f"Materialized {each.partition}.")
            for each in materializations
        ],
    )


def log_observations(
    context: dg.AssetExecutionContext, observations: Sequence[dg.AssetObservation]
) -> None:
    """Log observations as `context.log_event` does, but in one write for all of them."""
    kind = dg.DagsterEventType.ASSET_OBSERVATION
    _log(
        context,
        kind,
        [(AssetObservationData(each), f"Observed {each.partition}.") for each in observations],
    )


def _log(
    context: dg.AssetExecutionContext,
    kind: dg.DagsterEventType,
    events: Sequence[tuple[StepMaterializationData | AssetObservationData, str]],
) -> None:
    step = context.get_step_execution_context()
    now = SystemClock().now().timestamp()
    entries = [
        EventLogEntry(
            error_info=None,
            user_message="",
            level=logging.INFO,
            run_id=context.run.run_id,
            job_name=step.job_name,
            step_key=step.step.key,
            timestamp=now,
            dagster_event=DagsterEvent(
                event_type_value=kind.value,
                job_name=step.job_name,
                step_handle=step.step.handle,
                node_handle=step.step.node_handle,
                step_kind_value=step.step.kind.value,
                logging_tags=step.event_tags,
                event_specific_data=data,
                message=message,
                pid=os.getpid(),
            ),
        )
        for data, message in events
    ]
    context.instance.event_log_storage.store_event_batch(entries)
