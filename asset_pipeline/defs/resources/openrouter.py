"""OpenRouter as a Dagster resource; without a real provider, the embedded sandbox in its place."""

from __future__ import annotations

import dagster as dg
import httpx
from pydantic import Field, SecretStr

from asset_pipeline.errors import ConfigurationError
from asset_pipeline.foreign.addresses import is_public, number_of
from asset_pipeline.providers.openrouter import DEFAULT_BASE_URL, OpenRouterProvider
from asset_pipeline.sandbox.process import ensure_running
from asset_pipeline.settings import ProviderName, Settings, load_settings

_SANDBOX_KEY = SecretStr("sandbox")


class OpenRouterResource(dg.ConfigurableResource):  # pyright: ignore[reportMissingTypeArgument]
    """Opens a provider of language models for one event loop.

    Which one comes from ``ASSET_PIPELINE_PROVIDER``, its key from ``OPENROUTER_API_KEY``: a config
    would keep the key in the event log, so that it is no field.
    """

    base_url: str | None = Field(
        default=None,
        description="The API's address. Without one, OPENROUTER_BASE_URL decides, else it is "
        "OpenRouter's own, or the embedded sandbox's.",
    )

    sandbox_idle_seconds: int = Field(
        default=300,
        ge=1,
        description="An embedded sandbox ends by itself after so long without a request.",
    )
    call_seconds: float = Field(
        default=180.0, gt=0, description="How long one call may take before it counts as lost."
    )

    def open_provider(self) -> OpenRouterProvider:
        """Return a provider; the caller closes it in the same event loop.

        Raises:
            ConfigurationError: OpenRouter was asked for and there is no key, or the sandbox's
                ledger would hold real payments.
            SandboxError: The sandbox did not start.
        """
        settings = load_settings()
        given = self.base_url or settings.openrouter_base_url
        if settings.provider is ProviderName.SANDBOX:
            url = given or settings.replicate_base_url
            if url is not None:
                _check_is_near(url)
            key = settings.openrouter_api_key if given else None
            return OpenRouterProvider(
                key or _SANDBOX_KEY,
                url or self._sandbox(settings),
                name=ProviderName.SANDBOX.value,
                call_seconds=self.call_seconds,
            )
        if settings.openrouter_api_key is None:
            raise ConfigurationError(
                "OPENROUTER_API_KEY is not set.",
                hint="Set it, or ASSET_PIPELINE_PROVIDER=sandbox to try things for nothing.",
            )
        return OpenRouterProvider(
            settings.openrouter_api_key,
            given or DEFAULT_BASE_URL,
            call_seconds=self.call_seconds,
        )

    def _sandbox(self, settings: Settings) -> str:
        return ensure_running(
            settings.data_dir / "sandbox",
            idle_seconds=self.sandbox_idle_seconds,
            config_dir=settings.config_dir,
        )


def _check_is_near(url: str) -> None:
    """Refuse to pay real money from the sandbox's ledger.

    Raises:
        ConfigurationError: The address is one of the open internet.
    """
    try:
        host = httpx.URL(url).host
    except httpx.InvalidURL:
        return  # the provider says what is wrong with it
    address = number_of(host)
    is_far = is_public(address) if address is not None else "." in host.rstrip(".")
    if is_far:
        raise ConfigurationError(
            f"OPENROUTER_BASE_URL asks {host}, and the provider in use is the sandbox, whose "
            "ledger holds play money.",
            hint="Set ASSET_PIPELINE_PROVIDER=replicate to pay for language models.",
        )
