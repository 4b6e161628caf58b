"""The Dagster instance's SQLite storage, one for each provider below DAGSTER_HOME.

`dagster.yaml` names it. The files are the stock storage's own, and the stock classes read them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from asset_pipeline.defs._dagster_private import (
    ConfigurableClassData,
    DagsterSqliteStorage,
    SqliteRunStorage,
    SqliteScheduleStorage,
)
from asset_pipeline.defs.instance.event_log import EVENTS_FOLDER, PooledSqliteEventLogStorage
from asset_pipeline.defs.instance.folder import sole_opening, storage_folder


class SqliteStorageByProvider(DagsterSqliteStorage):
    """Runs, events and schedules of the provider in use, and of no other.

    Args:
        home: DAGSTER_HOME.
        inst_data: Dagster's own record of how the class was configured.
    """

    def __init__(self, home: str, inst_data: ConfigurableClassData | None = None) -> None:
        # The stock class would open the stock event log first.
        with sole_opening(Path(home)):
            folder = storage_folder(Path(home))
            self.base_dir = str(folder)
            self._run_storage = SqliteRunStorage.from_local(str(folder / "history"))
            self._event_log_storage = PooledSqliteEventLogStorage(str(folder / EVENTS_FOLDER))
            self._schedule_storage = SqliteScheduleStorage.from_local(str(folder / "schedules"))
        self._inst_data = inst_data
        super(DagsterSqliteStorage, self).__init__()

    @classmethod
    def config_type(cls) -> Mapping[str, Any]:
        """Take DAGSTER_HOME, usually as ``{env: DAGSTER_HOME}``."""
        return {"home": dg.StringSource}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> SqliteStorageByProvider:
        """Open the storage of the provider in use below a DAGSTER_HOME."""
        return cls(str(config_value["home"]), inst_data)
