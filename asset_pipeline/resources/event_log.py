"""The instance's event log, under the name by which a file of an earlier release asks for it."""

from asset_pipeline.defs.instance.event_log import PooledSqliteEventLogStorage

__all__ = ["PooledSqliteEventLogStorage"]
