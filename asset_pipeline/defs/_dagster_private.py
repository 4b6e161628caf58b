"""The private parts of Dagster that this project rests on, all of them.

Written and tried for Dagster 1.13. An upgrade begins here: what it moved or renamed fails on
import, and what it changed fails in the tests of the modules that import from here.
"""

from dagster._core.definitions.partitions.context import partition_loading_context
from dagster._core.definitions.sensor_definition import SensorExecutionData
from dagster._core.events import (
    ASSET_EVENTS,
    AssetMaterializationPlannedData,
    AssetObservationData,
    RunFailureReason,
    StepMaterializationData,
)
from dagster._core.instance.config import DAGSTER_CONFIG_YAML_FILENAME
from dagster._core.instance.utils import RUNLESS_JOB_NAME, RUNLESS_RUN_ID
from dagster._core.storage.config import PostgresStorageConfig, pg_config
from dagster._core.storage.event_log import SqlEventLogStorageTable, SqliteEventLogStorage
from dagster._core.storage.partition_status_cache import AssetPartitionStatus
from dagster._core.storage.runs.sqlite import SqliteRunStorage
from dagster._core.storage.schedules.sqlite.sqlite_schedule_storage import SqliteScheduleStorage
from dagster._core.storage.sql import create_engine, get_alembic_config
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._core.storage.tags import (
    REPOSITORY_LABEL_TAG,
    RETRY_ON_ASSET_OR_OP_FAILURE_TAG,
    WILL_RETRY_TAG,
)
from dagster._core.utils import make_new_run_id
from dagster._serdes import ConfigurableClassData, deserialize_value, serialize_value
from dagster._utils.schedules import is_valid_cron_schedule

__all__ = [
    "ASSET_EVENTS",
    "DAGSTER_CONFIG_YAML_FILENAME",
    "REPOSITORY_LABEL_TAG",
    "RETRY_ON_ASSET_OR_OP_FAILURE_TAG",
    "RUNLESS_JOB_NAME",
    "RUNLESS_RUN_ID",
    "SQLITE_BUSY_TIMEOUT_SECONDS",
    "WILL_RETRY_TAG",
    "AssetMaterializationPlannedData",
    "AssetObservationData",
    "AssetPartitionStatus",
    "ConfigurableClassData",
    "DagsterSqliteStorage",
    "PostgresStorageConfig",
    "RunFailureReason",
    "SensorExecutionData",
    "SqlEventLogStorageTable",
    "SqliteEventLogStorage",
    "SqliteRunStorage",
    "SqliteScheduleStorage",
    "StepMaterializationData",
    "create_engine",
    "deserialize_value",
    "get_alembic_config",
    "is_valid_cron_schedule",
    "make_new_run_id",
    "partition_loading_context",
    "pg_config",
    "serialize_value",
]
