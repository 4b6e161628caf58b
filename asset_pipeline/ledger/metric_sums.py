"""Reading everything that metrics show, and adding what processes counted themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Connection, func, literal_column, select, text
from sqlalchemy.dialects import postgresql, sqlite

from asset_pipeline.ledger import budget_scopes
from asset_pipeline.ledger.access import LedgerAccess
from asset_pipeline.ledger.column_types import in_utc
from asset_pipeline.ledger.metric_schema import metric_sums
from asset_pipeline.ledger.records import BudgetBalance
from asset_pipeline.ledger.schema import (
    OPEN_STATES,
    OPEN_WORDS,
    breakers,
    budgets,
    intents,
    rate_limits,
    workers,
)
from asset_pipeline.ledger.service_schema import ItemState, heartbeats, submission_items
from asset_pipeline.measures import MEASURES, MeasureKey
from asset_pipeline.money import MicroUsd

CACHE_HITS: Final = "cache_hits"

# Of more parts than this reading takes longer than a millisecond or two.
_PARTS = 2000


@dataclass(frozen=True, slots=True)
class MetricSum:
    """One of the ledger's sums.

    Attributes:
        bucket: The number of a bucket of durations; 0 in any other sum.
        total: Micro-dollars of money, microseconds of durations.
    """

    name: str
    kind: str
    model: str
    state: str
    error_class: str
    bucket: int
    count: int
    total: int


@dataclass(frozen=True, slots=True)
class WorkerProcess:
    """A process that pays, or did until it was killed."""

    host: str
    boot_id: str
    pid_namespace: str
    pid: int
    pid_started: float
    heartbeat_at: datetime


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything that metrics show of a ledger, as of one moment.

    Attributes:
        oldest: When the oldest intent of each open state was made.
        budgets: By what they are called in metrics: never a day, a run or a key.
        breakers: The states of the models' breakers, and since when each is not closed.
        throttles: How often the provider said that we are too fast.
        waiting: Submitted prompts that no run has yet, and since when the first one waits.
        heartbeats: When each sensor and service was last heard of.
        workers: Those that did not say that they ended.
    """

    at: datetime
    sums: Sequence[MetricSum]
    oldest: Mapping[str, datetime]
    budgets: Mapping[str, BudgetBalance]
    breakers: Mapping[str, tuple[str, datetime | None]]
    throttles: int
    waiting: tuple[int, datetime | None]
    heartbeats: Mapping[str, datetime]
    workers: Sequence[WorkerProcess]


class MetricSums(LedgerAccess):
    """Reads the sums, and adds to them what this process counted."""

    def read(self) -> Reading:
        """Return everything that metrics show, as of one moment."""
        with self._reading() as connection:
            if connection.dialect.name == "postgresql":
                # Otherwise each query sees another moment.
                connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
            now = in_utc(self._clock.now())
            return Reading(
                at=now,
                sums=[MetricSum(*row) for row in connection.execute(_SUMS)],
                oldest=_oldest(connection),
                budgets=_budgets(connection, now),
                breakers={row[0]: (row[1], row[2]) for row in connection.execute(_BREAKERS)},
                throttles=int(connection.execute(_THROTTLES).scalar_one()),
                waiting=_waiting(connection),
                heartbeats={row[0]: row[1] for row in connection.execute(_HEARTBEATS)},
                workers=[WorkerProcess(*row) for row in connection.execute(_WORKERS)],
            )

    def write_measures(self) -> None:
        """Add what this process counted since the last time."""
        taken = MEASURES.take()
        if not taken:
            return
        try:
            with self._writing() as (connection, _):
                add_measures(connection, taken)
        except BaseException:
            MEASURES.give_back(taken)
            raise

    def beat(self, name: str) -> None:
        """Note that a process of this name lives: a write, so that a read-only ledger shows."""
        with self._writing() as (connection, now):
            made = _dialect(connection).insert(heartbeats).values(name=name, seen_at=now)
            connection.execute(
                made.on_conflict_do_update(index_elements=["name"], set_={"seen_at": now})
            )

    def fold(self) -> int:
        """Put parts that connections of Postgres left into one; return how many sums were moved.

        Connections come and go, and each leaves a part. What a connection is at just now stays,
        for nobody who pays may wait for this.
        """
        if self.engine.dialect.name != "postgresql":
            return 0  # one part, and no write lock for nothing
        with self._writing() as (connection, _):
            count = connection.execute(_COUNT_PARTS).scalar_one()
            mine = "SELECT pg_try_advisory_xact_lock(727202)"
            if count <= _PARTS or not connection.execute(text(mine)).scalar_one():
                return 0
            return connection.execute(_FOLD).rowcount


def add_measures(connection: Connection, taken: Mapping[MeasureKey, tuple[int, int]]) -> None:
    """Add what a process counted to the sums."""
    for key, (count, total) in taken.items():
        row = {"name": key.name, "kind": "", "model": "", "state": key.operation}
        more = {"error_class": key.outcome, "bucket": key.bucket, "count": count, "total": total}
        _add(connection, {**row, **more, "part": _part(connection)})


def count_cache_hit(connection: Connection, kind: str, model: str) -> None:
    """Count a clip that was wanted and was there."""
    row = {"name": CACHE_HITS, "kind": kind, "model": model, "state": "", "error_class": ""}
    _add(connection, {**row, "bucket": 0, "part": _part(connection), "count": 1, "total": 0})


def _part(connection: Connection) -> Any:  # noqa: ANN401 -- a number, or SQL that gives one
    return func.pg_backend_pid() if connection.dialect.name == "postgresql" else 0


def _dialect(connection: Connection) -> Any:  # noqa: ANN401 -- two modules of one shape
    return postgresql if connection.dialect.name == "postgresql" else sqlite


def _add(connection: Connection, row: Mapping[str, Any]) -> None:
    made = _dialect(connection).insert(metric_sums).values(**row)
    grown = {
        name: getattr(metric_sums.c, name) + getattr(made.excluded, name)
        for name in ("count", "total")
    }
    connection.execute(made.on_conflict_do_update(index_elements=list(_KEY), set_=grown))


def _oldest(connection: Connection) -> dict[str, datetime]:
    found = {state: connection.execute(query).scalar() for state, query in _OLDEST.items()}
    return {state: moment for state, moment in found.items() if moment is not None}


def _budgets(connection: Connection, now: datetime) -> dict[str, BudgetBalance]:
    """Return the budgets by what metrics call them: ``daily`` is today's."""
    today = now.astimezone(UTC).date()
    called: dict[str, str] = {
        budget_scopes.TOTAL: "total",
        budget_scopes.daily(today): "daily",
        budget_scopes.monthly(today): "monthly",
    }
    named, prefix = budgets.c.budget, budget_scopes.of_collection("")
    if connection.dialect.name == "sqlite":
        # A range of the primary key: there may be a budget for each of many thousand runs.
        of_collections = (named >= prefix) & (named < f"{prefix[:-1]};")
    else:
        of_collections = named.startswith(prefix)
    chosen = named.in_(called) | of_collections
    rows = connection.execute(_BUDGETS.where(chosen))
    return {
        called.get(str(name), str(name)): BudgetBalance(
            name, period, MicroUsd(cap), MicroUsd(charged), MicroUsd(reserved)
        )
        for name, period, cap, charged, reserved in rows
    }


def _waiting(connection: Connection) -> tuple[int, datetime | None]:
    count = int(connection.execute(_WAITING).scalar_one())
    return count, connection.execute(_FIRST_WAITING).scalar() if count else None


# Statements are built once: building one costs as much as SQLite needs to run it.
_KEY = tuple(column.name for column in metric_sums.primary_key)
_DIMENSIONS = tuple(metric_sums.c[name] for name in _KEY if name != "part")
_SUMS = select(*_DIMENSIONS, func.sum(metric_sums.c.count), func.sum(metric_sums.c.total)).group_by(
    *_DIMENSIONS
)
_COUNT_PARTS = select(func.count()).select_from(metric_sums).where(metric_sums.c.part > 0)
# Postgres' own words: what a connection is writing to just now is passed over.
_FOLD = text(
    """
    WITH chosen AS (
        SELECT ctid FROM metric_sums WHERE part > 0 FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM metric_sums USING chosen WHERE metric_sums.ctid = chosen.ctid
        RETURNING metric_sums.*
    )
    INSERT INTO metric_sums
        (name, kind, model, state, error_class, bucket, part, count, total)
    SELECT name, kind, model, state, error_class, bucket, 0, SUM(count), SUM(total)
    FROM gone GROUP BY name, kind, model, state, error_class, bucket
    ON CONFLICT (name, kind, model, state, error_class, bucket, part) DO UPDATE SET
        count = metric_sums.count + excluded.count, total = metric_sums.total + excluded.total
    """
)
# In the words of the partial index, which SQLite would not use for anything else that implies them.
_OLDEST = {
    state.value: select(func.min(intents.c.created_at)).where(
        text(OPEN_WORDS), intents.c.state == literal_column(f"'{state}'")
    )
    for state in OPEN_STATES
}
_BUDGETS = select(
    budgets.c.budget,
    budgets.c.period,
    budgets.c.cap_microusd,
    budgets.c.charged_microusd,
    budgets.c.reserved_microusd,
)
_BREAKERS = select(breakers.c.model, breakers.c.state, breakers.c.opened_at)
_THROTTLES = select(func.coalesce(func.sum(rate_limits.c.throttles), 0))
_IS_WAITING = submission_items.c.state == literal_column(f"'{ItemState.QUEUED}'")
_WAITING = select(func.count()).select_from(submission_items).where(_IS_WAITING)
_FIRST_WAITING = (
    select(submission_items.c.updated_at)
    .where(_IS_WAITING)
    .order_by(submission_items.c.item_id)
    .limit(1)
)
_HEARTBEATS = select(heartbeats.c.name, heartbeats.c.seen_at)
_WORKERS = select(
    workers.c.host,
    workers.c.boot_id,
    workers.c.pid_namespace,
    workers.c.pid,
    workers.c.pid_started,
    workers.c.heartbeat_at,
).where(workers.c.ended_at.is_(None))
