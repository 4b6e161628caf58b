"""The clip store as a Dagster resource."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg
from pydantic import Field
from sqlalchemy import Engine

from asset_pipeline.clock import SystemClock
from asset_pipeline.custody.store_ownership import StoreOwnership
from asset_pipeline.ledger.identity import IdentityRepository
from asset_pipeline.settings import load_settings
from asset_pipeline.stores.environment import bucket_settings
from asset_pipeline.stores.factory import bucket_of, open_store
from asset_pipeline.stores.hardening import BucketRule
from asset_pipeline.stores.protocol import Store


class StoreResource(dg.ConfigurableResource):  # pyright: ignore[reportMissingTypeArgument]
    """Opens the store of the clips: a folder, or a bucket of S3 or GCS."""

    url: str | None = Field(
        default=None,
        description="A path, s3://bucket/prefix or gs://bucket/prefix. Without one, "
        "ASSET_PIPELINE_STORE_URL decides, else it is a folder in the data folder. A ledger's "
        "clips stay in their store: another one is refused.",
    )

    def open(self) -> Store:
        """Return the store."""
        settings = load_settings()
        return open_store(self.url or settings.store_url, bucket_settings(settings))

    def belonging(self, store: Store, engine: Engine) -> StoreOwnership:
        """Return the ownership check of a store and a ledger."""
        clock = SystemClock()
        provider = load_settings().provider.value
        return StoreOwnership(store, IdentityRepository(engine, clock), provider, clock)

    def rules(self, *, versioning: bool = False) -> Sequence[BucketRule]:
        """Return the rules that keep the store's bucket private and tidy; none for a folder.

        Raises:
            AssetPipelineError: The store's URL or the settings of its library are wrong.
        """
        address = bucket_of(self.url or load_settings().store_url)
        if address is None:
            return []
        asked = bucket_settings(load_settings())
        # Each of the two loads its cloud's library, and only that of the cloud in use.
        if address.scheme == "s3":
            from asset_pipeline.stores.s3_access import open_s3  # noqa: PLC0415
            from asset_pipeline.stores.s3_hardening import s3_rules  # noqa: PLC0415

            client = open_s3(address, asked).client
            return s3_rules(client, address, versioning=versioning, asked=asked)
        from asset_pipeline.stores.gcs_access import open_gcs  # noqa: PLC0415
        from asset_pipeline.stores.gcs_hardening import gcs_rules  # noqa: PLC0415

        return gcs_rules(open_gcs(address, asked), address, versioning=versioning)
