"""The instance's storage, under the name by which a file of an earlier release asks for it."""

from asset_pipeline.defs.instance.storage import SqliteStorageByProvider

__all__ = ["SqliteStorageByProvider"]
