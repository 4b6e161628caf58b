"""The sensor for what follows a clip: renditions, tables, gallery, checks. It never pays.

The assets' own automation conditions decide what is to be made. This sensor decides when they are
asked, because asking about 100,000 partitions takes seconds, and how what they want is run, because
Dagster makes a run of every contiguous stretch: fifty clips here and there would be fifty runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

import dagster as dg
from dagster import DagsterInstance, DagsterRun, RunsFilter

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.chunks import chunks
from asset_pipeline.clock import Clock, SystemClock
from asset_pipeline.defs._dagster_private import SensorExecutionData, partition_loading_context
from asset_pipeline.defs.assets.clips import PARTITIONS_A_RUN
from asset_pipeline.defs.jobs import CLIP_JOBS
from asset_pipeline.defs.run_tags import KIND_TAG, UNFINISHED

_CLIPS = frozenset(dg.AssetKey(kind.value) for kind in Kind)
_CLIP_JOBS = frozenset(job.name for job in CLIP_JOBS.values())

# A backfill of a night is followed up before its end.
_AT_THE_LATEST = timedelta(minutes=15)


class FollowUpSensor(dg.AutomationConditionSensorDefinition):
    """Evaluates automation conditions when something happened and no clips are being made.

    Args:
        name: The sensor's name.
        target: The assets and checks whose conditions are asked.
        clock: For the longest wait for a batch that goes on and on.
        description: For people.
    """

    def __init__(
        self, name: str, *, target: dg.AssetSelection, clock: Clock, description: str
    ) -> None:
        super().__init__(
            name,
            target=target,
            default_status=dg.DefaultSensorStatus.RUNNING,
            minimum_interval_seconds=30,
            description=description,
            use_user_code_server=True,
        )
        self._clock = clock
        self._asked_at: datetime | None = None
        self._asked_of: int | None = None

    def evaluate_tick(self, context: dg.SensorEvaluationContext) -> SensorExecutionData:
        """Evaluate one tick; what is remembered between two may be lost with the process."""
        # Read first: whatever happens meanwhile belongs to the next tick.
        latest = context.instance.event_log_storage.get_maximum_record_id()
        if context.cursor and latest == self._asked_of:
            return _skipped(context, "Nothing has happened.")
        now = self._clock.now()
        if self._asked_at is None:
            self._asked_at = now
        batches = sum(map(_makes_clips, _unfinished(context.instance)))
        if context.cursor and batches and now - self._asked_at < _AT_THE_LATEST:
            return _skipped(context, f"{batches} runs are making clips; it follows up after them.")
        data = super().evaluate_tick(context)
        self._asked_at, self._asked_of = now, latest
        requests = [run for each in data.run_requests or () for run in self._batched(context, each)]
        return SensorExecutionData(
            run_requests=requests,
            skip_message=data.skip_message,
            cursor=data.cursor,
            log_key=data.log_key,
            automation_condition_evaluations=data.automation_condition_evaluations,
        )

    def _batched(
        self, context: dg.SensorEvaluationContext, request: dg.RunRequest
    ) -> Iterator[dg.RunRequest]:
        """Yield a request for many partitions as runs that name them, a thousand a run."""
        subset = request.asset_graph_subset
        if subset is None:
            yield request
            return
        runs: list[dg.RunRequest] = []
        if subset.non_partitioned_asset_keys:
            keys = sorted(subset.non_partitioned_asset_keys)
            runs.append(dg.RunRequest(asset_selection=keys, tags=dict(request.tags)))
        for key, partitions in subset.partitions_subsets_by_asset_key.items():
            runs.extend(_runs_of(key, sorted(partitions.get_partition_keys()), request))
        with partition_loading_context(dynamic_partitions_store=context.instance):
            yield from self.resolve_run_requests(runs, context, self.asset_selection, [])


def _runs_of(
    key: dg.AssetKey, partitions: Sequence[str], request: dg.RunRequest
) -> Iterator[dg.RunRequest]:
    name = key.to_python_identifier()
    for ids in chunks(partitions, PARTITIONS_A_RUN):
        yield dg.RunRequest(
            asset_selection=[key],
            partition_key=ids[0],
            run_config={"ops": {name: {"config": {"prompt_ids": ids}}}},
            tags={**request.tags, KIND_TAG: name.partition("_")[0]},
        )


def _unfinished(instance: DagsterInstance) -> Iterable[DagsterRun]:
    return instance.get_runs(RunsFilter(statuses=UNFINISHED))


def _makes_clips(run: DagsterRun) -> bool:
    return run.job_name in _CLIP_JOBS or bool(_CLIPS & (run.asset_selection or frozenset()))


def _skipped(context: dg.SensorEvaluationContext, why: str) -> SensorExecutionData:
    return SensorExecutionData(run_requests=[], skip_message=why, cursor=context.cursor)


FOLLOW_UP_SENSOR = FollowUpSensor(
    "follow_up",
    target=dg.AssetSelection.all(),
    clock=SystemClock(),
    description="Renders and publishes what has landed: once a batch is over, every quarter of an "
    "hour during a long one, many partitions in one run. It never pays, because clips have no "
    "automation condition.",
)
