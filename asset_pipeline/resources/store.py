"""The clip store as a Dagster resource."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import cast

import dagster as dg
from sqlalchemy import Engine

from asset_pipeline.clock import SystemClock
from asset_pipeline.custody.belonging import Belonging
from asset_pipeline.ledger.identity import IdentityBook
from asset_pipeline.settings import load_settings
from asset_pipeline.stores.hardening import Rule
from asset_pipeline.stores.opening import bucket_of, open_store
from asset_pipeline.stores.protocol import Store


class StoreResource(dg.ConfigurableResource):  # pyright: ignore[reportMissingTypeArgument]
    """Opens the store that ``ASSET_PIPELINE_STORE_URL`` names; a folder if it names none."""

    def open(self) -> Store:
        """Return the store."""
        return open_store(load_settings().store_url)

    def belonging(self, store: Store, engine: Engine) -> Belonging:
        """Return what tells whether a store holds the clips of a ledger."""
        clock = SystemClock()
        provider = load_settings().provider.value
        return Belonging(store, IdentityBook(engine, clock), provider, clock)

    def rules(self, *, versioning: bool = False) -> Sequence[Rule]:
        """Return the rules that keep the store's bucket private and tidy; none for a folder.

        Raises:
            AssetPipelineError: The store's URL or the settings of its library are wrong.
        """
        address = bucket_of(load_settings().store_url)
        if address is None:
            return []
        # Each of the two loads its cloud's library, and only that of the cloud in use.
        if address.scheme == "s3":
            from dagster_aws.s3 import S3Resource  # noqa: PLC0415

            from asset_pipeline.stores.s3_access import S3Client, open_s3  # noqa: PLC0415
            from asset_pipeline.stores.s3_hardening import s3_rules  # noqa: PLC0415

            open_s3(address)  # says in words what is wrong with the AWS settings
            resource = S3Resource(region_name=os.environ.get("AWS_REGION") or None)
            client = cast("S3Client", resource.get_client())
            return s3_rules(client, address, versioning=versioning)
        from asset_pipeline.stores.gcs_access import open_gcs  # noqa: PLC0415
        from asset_pipeline.stores.gcs_hardening import gcs_rules  # noqa: PLC0415

        return gcs_rules(open_gcs(address), address, versioning=versioning)
