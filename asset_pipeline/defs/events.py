"""Logging events of landed partitions while a batch runs, many in one write."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence

import dagster as dg
from dagster import DagsterEvent, DagsterInstance, EventLogEntry

from asset_pipeline.clock import SystemClock
from asset_pipeline.defs._dagster_private import AssetObservationData, StepMaterializationData
from asset_pipeline.generation.batch import PromptOutcome

# A partition turns green so soon after it landed. An event alone costs 5 ms of the interpreter's
# lock, in which sixty clips stand still; thirty together cost 1 ms each.
_PAUSE = 0.5


class EventBatcher:
    """Collects outcomes and logs them in a thread, several in one write.

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
        """Log what is added within the block; at its end, everything is logged."""
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
            # Wait for it even if the batch was cancelled: a thread's work can't be interrupted.
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
    store_events(
        context.instance,
        context.run.run_id,
        [
            DagsterEvent(
                event_type_value=kind.value,
                job_name=step.job_name,
                step_handle=step.step.handle,
                node_handle=step.step.node_handle,
                step_kind_value=step.step.kind.value,
                logging_tags=step.event_tags,
                event_specific_data=data,
                message=message,
                pid=os.getpid(),
            )
            for data, message in events
        ],
        step_key=step.step.key,
    )


def store_events(
    instance: DagsterInstance,
    run_id: str,
    events: Iterable[DagsterEvent],
    *,
    step_key: str | None = None,
    level: int = logging.INFO,
) -> None:
    """Store events of a run, or of none, in one write: one by itself takes 7 to 20 ms.

    Args:
        instance: Whose event log takes them.
        run_id: Of the run that they belong to.
        events: In their order; all of them get the time of now.
        step_key: Of the step that they belong to.
        level: Of the log's levels.
    """
    now = SystemClock().now().timestamp()
    instance.event_log_storage.store_event_batch(
        [
            EventLogEntry(
                error_info=None,
                user_message="",
                level=level,
                run_id=run_id,
                job_name=event.job_name,
                step_key=step_key,
                timestamp=now,
                dagster_event=event,
            )
            for event in events
        ]
    )
