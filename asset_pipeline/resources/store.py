"""The clip store as a Dagster resource."""

from __future__ import annotations

import dagster as dg

from asset_pipeline.settings import load_settings
from asset_pipeline.stores.opening import open_store
from asset_pipeline.stores.protocol import Store


class StoreResource(dg.ConfigurableResource):  # pyright: ignore[reportMissingTypeArgument]
    """Opens the store that ``ASSET_PIPELINE_STORE_URL`` names; a folder if it names none."""

    def open(self) -> Store:
        """Return the store."""
        return open_store(load_settings().store_url)
