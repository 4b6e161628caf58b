"""What goes wrong with the published file."""

from __future__ import annotations

from asset_pipeline.errors import AssetPipelineError


class WarehouseError(AssetPipelineError):
    """The published file can't be written, opened or queried."""
