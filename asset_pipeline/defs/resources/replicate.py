"""Replicate as a Dagster resource; without a token, the embedded sandbox in its place."""

from __future__ import annotations

import dagster as dg
from pydantic import Field, SecretStr

from asset_pipeline.errors import ConfigurationError
from asset_pipeline.providers.replicate import DEFAULT_BASE_URL, ReplicateProvider
from asset_pipeline.sandbox.process import ensure_running
from asset_pipeline.settings import ProviderName, load_settings

_SANDBOX_TOKEN = SecretStr("sandbox")


class ReplicateResource(dg.ConfigurableResource):  # pyright: ignore[reportMissingTypeArgument]
    """Opens a provider for one event loop.

    Which one comes from ``ASSET_PIPELINE_PROVIDER``, its token from ``REPLICATE_API_TOKEN``: a
    config would keep the token in the event log, so that it is no field.
    """

    base_url: str | None = Field(
        default=None,
        description="The API's address. Without one, REPLICATE_BASE_URL decides, else it is "
        "Replicate's own, or the embedded sandbox's.",
    )

    sandbox_idle_seconds: int = Field(
        default=300,
        ge=1,
        description="An embedded sandbox ends by itself after so long without a request.",
    )

    def open_provider(self) -> ReplicateProvider:
        """Return a provider; the caller closes it in the same event loop.

        Raises:
            ConfigurationError: Replicate was asked for and there is no token.
            SandboxError: The sandbox did not start.
        """
        settings = load_settings()
        given = self.base_url or settings.replicate_base_url
        if settings.provider is ProviderName.SANDBOX:
            url = given or ensure_running(
                settings.data_dir / "sandbox",
                idle_seconds=self.sandbox_idle_seconds,
                config_dir=settings.config_dir,
            )
            return ReplicateProvider(_SANDBOX_TOKEN, url, name=ProviderName.SANDBOX.value)
        if settings.replicate_api_token is None:
            raise ConfigurationError(
                "REPLICATE_API_TOKEN is not set.",
                hint="Set it, or ASSET_PIPELINE_PROVIDER=sandbox to try things for nothing.",
            )
        return ReplicateProvider(
            settings.replicate_api_token,
            given or DEFAULT_BASE_URL,
            allow_private_outputs=settings.allow_private_outputs,
        )
