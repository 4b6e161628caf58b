"""Dagster's SQLite event log with its connections kept open.

The stock storage makes an engine and a connection for every event. Nothing is then cached, each
statement is compiled anew, and closing the last connection makes SQLite write its log back: 11 ms
of CPU an event, where this takes 4. `dagster.yaml` names this class; the files are the same, in
the same place, and the stock class reads them.

Events that come together are written together: in one transaction 100,000 observations take
seconds, one by one a quarter of an hour. So this class has Dagster hand over together what it
knows together: the planned partitions of a backfill's run, 14 ms each when they come one by one.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict, defaultdict
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from typing import Any, NamedTuple

import dagster as dg
from dagster import EventLogEntry
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.pool import QueuePool

from asset_pipeline.defs._dagster_private import (
    RUNLESS_RUN_ID,
    SQLITE_BUSY_TIMEOUT_SECONDS,
    ConfigurableClassData,
    SqlEventLogStorageTable,
    SqliteEventLogStorage,
    create_engine,
)
from asset_pipeline.defs.instance.event_writes import (
    READ_PARTITION_SET_STATE,
    PartitionSetState,
    is_asset_event,
    tell_dagster,
    without_secrets,
)
from asset_pipeline.defs.instance.folder import sole_opening, storage_folder

# Each run has a file of its own. A daemon that reads hundreds of runs keeps a few of them open.
_ENGINES_KEPT = 8

EVENTS_FOLDER = Path("history", "runs")
"""Where the stock storage keeps its files below its folder."""


class PooledSqliteEventLogStorage(SqliteEventLogStorage):
    """The stock storage with connections that stay open.

    Args:
        base_dir: The folder of the event log's files.
        inst_data: Dagster's own record of how the class was configured.
    """

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        self._partitions: dict[str, _Keys] = {}
        tell_dagster()
        super().__init__(base_dir, inst_data)

    @classmethod
    def config_type(cls) -> Mapping[str, Any]:
        """Take DAGSTER_HOME, usually as ``{env: DAGSTER_HOME}``."""
        return {"home": dg.StringSource}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> PooledSqliteEventLogStorage:
        """Open the event log of the provider in use below a DAGSTER_HOME.

        So says a `dagster.yaml` of an earlier release, which leaves runs and schedules to the stock
        storage.
        """
        home = Path(config_value["home"])
        with sole_opening(home):
            return cls(str(storage_folder(home) / EVENTS_FOLDER), inst_data)

    def store_event(self, event: EventLogEntry) -> None:
        """Store an event without secrets: tracebacks quote what nobody of ours has written."""
        super().store_event(without_secrets([event])[0])

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store asset events in one transaction for each file they belong in; others one by one.

        The events of a run are in its own file, and all asset events are in the index, as the
        stock storage has them. Those of no run are in the index alone: nothing reads the other.
        """
        events = without_secrets(events)
        if not (events and all(is_asset_event(event) for event in events)):
            super().store_event_batch(events)
            return
        rows = [self._event_to_row(event) for event in events]
        by_run: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in rows:
            by_run[row["run_id"]].append(row)
        for run_id, of_run in by_run.items():
            if run_id != RUNLESS_RUN_ID:
                with self.run_connection(run_id) as connection:
                    connection.execute(SqlEventLogStorageTable.insert(), of_run)
        last = {event.get_dagster_event().asset_key: event for event in events}
        with self.index_transaction() as connection:
            ids = _insert_in_order(connection, rows)
            self._store_asset_event_tags(connection, events, ids)
            # The table of assets keeps only the latest event.
            of_event = {id(event): event_id for event, event_id in zip(events, ids, strict=True)}
            for event in last.values():
                self._store_asset_event(connection, event, of_event[id(event)])

    def get_dynamic_partitions(self, partitions_def_name: str) -> Sequence[str]:
        """Return a set's keys, from memory while they have not changed.

        One evaluation of automation conditions asks for them four hundred times, and reading
        100,000 takes half a second.
        """
        with self.index_connection() as connection:
            version: int = connection.execute(_VERSION).scalar_one()
            known = self._partitions.get(partitions_def_name)
            if known is not None and known.version == version:
                return list(known.keys)
            row = connection.execute(READ_PARTITION_SET_STATE, {"name": partitions_def_name}).one()
        standing = PartitionSetState(*row)
        if known is None or known.standing != standing:
            keys = super().get_dynamic_partitions(partitions_def_name)
        else:
            keys = known.keys
        self._partitions[partitions_def_name] = _Keys(version, standing, keys)
        return list(keys)

    def add_dynamic_partitions(
        self, partitions_def_name: str, partition_keys: Sequence[str]
    ) -> None:
        """Add keys; what is written here does not show in the file's version as seen from here."""
        self._partitions.clear()
        super().add_dynamic_partitions(partitions_def_name, partition_keys)
        self._partitions.clear()

    def delete_dynamic_partition(self, partitions_def_name: str, partition_key: str) -> None:
        """Delete a key."""
        self._partitions.clear()
        super().delete_dynamic_partition(partitions_def_name, partition_key)
        self._partitions.clear()

    def dispose(self) -> None:
        """Close all connections."""
        while self._engines:
            self._engines.popitem()[1].dispose()
        super().dispose()

    @contextlib.contextmanager
    def _connect(self, shard: str) -> Generator[Connection]:
        with self._db_lock:
            engine = self._engine(shard)
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.connect() as connection, connection.begin():
                yield connection

    def _engine(self, shard: str) -> Engine:
        engine = self._engines.pop(shard, None)
        if engine is None:
            engine = create_engine(
                self.conn_string_for_shard(shard),
                poolclass=QueuePool,
                pool_size=1,
                connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, "check_same_thread": False},
            )
            event.listen(engine, "connect", _write_without_waiting)
        self._engines[shard] = engine
        if len(self._engines) > _ENGINES_KEPT:
            self._engines.popitem(last=False)[1].dispose()
        return engine


class _Keys(NamedTuple):
    version: int
    standing: PartitionSetState
    keys: Sequence[str]


# Changes whenever another connection has written anything into the file.
_VERSION = text("PRAGMA data_version")


def _insert_in_order(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """Insert the rows and return their ids, which ascend: staleness goes by the order of events.

    The first insert takes SQLite's one write lock, so the ids after it are free.
    """
    first = connection.execute(SqlEventLogStorageTable.insert(), dict(rows[0]))
    key = first.inserted_primary_key
    start: int = key[0] if key else 0
    ids = list(range(start, start + len(rows)))
    if len(rows) > 1:
        others = [{**row, "id": at} for row, at in zip(rows[1:], ids[1:], strict=True)]
        connection.execute(SqlEventLogStorageTable.insert(), others)
    return ids


def _write_without_waiting(connection: SqliteConnection, _record: object) -> None:
    """Leave the disk's own pace to SQLite: a power cut may cost the last events, never the file.

    What is owed is in the ledger, which does wait for the disk.
    """
    connection.execute("PRAGMA synchronous = NORMAL")
