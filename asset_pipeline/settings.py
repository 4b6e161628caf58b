"""Environment variables to frozen, validated settings; nothing is read at import."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from asset_pipeline.errors import ConfigurationError


class ProviderName(StrEnum):
    """Who makes the clips."""

    SANDBOX = "sandbox"
    REPLICATE = "replicate"


class Settings(BaseSettings):
    """Everything the environment decides, validated once; paths are absolute.

    Use :func:`load_settings`, which turns a bad variable into a sentence.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    replicate_api_token: SecretStr | None = Field(None, alias="REPLICATE_API_TOKEN")
    replicate_base_url: str | None = Field(None, alias="REPLICATE_BASE_URL")
    openrouter_api_key: SecretStr | None = Field(None, alias="OPENROUTER_API_KEY")
    openrouter_base_url: str | None = Field(None, alias="OPENROUTER_BASE_URL")
    chosen_provider: ProviderName | None = Field(None, alias="ASSET_PIPELINE_PROVIDER")
    prompts_dir: Path = Field(Path("prompts"), alias="ASSET_PIPELINE_PROMPTS_DIR")
    data_dir: Path = Field(Path("data"), alias="ASSET_PIPELINE_DATA_DIR")
    config_dir: Path = Field(Path("config"), alias="ASSET_PIPELINE_CONFIG_DIR")
    chosen_ledger_url: SecretStr | None = Field(None, alias="ASSET_PIPELINE_LEDGER_URL")
    chosen_store_url: str | None = Field(None, alias="ASSET_PIPELINE_STORE_URL")
    store_encryption: Literal["AES256", "aws:kms", "aws:kms:dsse"] | None = Field(
        None, alias="ASSET_PIPELINE_STORE_ENCRYPTION"
    )
    store_kms_key: str = Field("", alias="ASSET_PIPELINE_STORE_KMS_KEY")
    store_requester_pays: bool = Field(default=False, alias="ASSET_PIPELINE_STORE_REQUESTER_PAYS")
    store_user_project: str = Field("", alias="ASSET_PIPELINE_STORE_USER_PROJECT")
    store_addressing: Literal["auto", "path", "virtual"] = Field(
        "auto", alias="ASSET_PIPELINE_STORE_ADDRESSING"
    )
    store_headers: SecretStr | None = Field(None, alias="ASSET_PIPELINE_STORE_HEADERS")
    chosen_publish_url: str | None = Field(None, alias="ASSET_PIPELINE_PUBLISH_URL")
    max_in_flight: int = Field(64, ge=1, le=1000, alias="ASSET_PIPELINE_MAX_IN_FLIGHT")
    rate_limit_per_minute: int = Field(600, ge=0, alias="ASSET_PIPELINE_RATE_LIMIT_PER_MINUTE")
    budget_total_usd: Decimal | None = Field(None, ge=0, alias="ASSET_PIPELINE_BUDGET_TOTAL_USD")
    budget_daily_usd: Decimal | None = Field(None, ge=0, alias="ASSET_PIPELINE_BUDGET_DAILY_USD")
    budget_run_usd: Decimal | None = Field(None, ge=0, alias="ASSET_PIPELINE_BUDGET_RUN_USD")
    webhook_url: SecretStr | None = Field(None, alias="ASSET_PIPELINE_WEBHOOK_URL")
    late_acceptance_seconds: float | None = Field(
        None, ge=0, le=3600, alias="ASSET_PIPELINE_LATE_ACCEPTANCE_SECONDS"
    )
    alert_webhook_url: SecretStr | None = Field(None, alias="ASSET_PIPELINE_ALERT_WEBHOOK_URL")
    max_images_decoded: int = Field(2, ge=1, le=64, alias="ASSET_PIPELINE_MAX_IMAGES_DECODED")

    allow_private_outputs: bool = Field(default=False, alias="ASSET_PIPELINE_ALLOW_PRIVATE_OUTPUTS")

    @field_validator("webhook_url")
    @classmethod
    def _address(cls, value: SecretStr | None) -> SecretStr | None:
        address = None if value is None else value.get_secret_value()
        if address is not None and not address.startswith(("https://", "http://")):
            raise ValueError("it must begin with https://")
        return value

    @field_validator("prompts_dir", "data_dir", "config_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @cached_property
    def provider(self) -> ProviderName:
        """The chosen provider; unchosen, Replicate when there is a token, else the sandbox."""
        if self.chosen_provider is not None:
            return self.chosen_provider
        return ProviderName.REPLICATE if self.replicate_api_token else ProviderName.SANDBOX

    @cached_property
    def ledger_url(self) -> SecretStr:
        """The ledger's SQLAlchemy URL (it may hold a password); SQLite in the data folder.

        The sandbox has a ledger of its own: its play money must not use up a real budget, nor its
        drawings stand in for clips that were asked of a real model.
        """
        path = self.default_ledger_path(self.provider)
        return self.chosen_ledger_url or SecretStr(f"sqlite:///{path}")

    def default_ledger_path(self, provider: ProviderName) -> Path:
        """Return where a provider's ledger is when no URL is chosen."""
        sandbox = provider is ProviderName.SANDBOX
        return self.data_dir / ("ledger.sandbox.db" if sandbox else "ledger.db")

    @cached_property
    def store_url(self) -> str:
        """Where clips live: a path, ``s3://`` or ``gs://``; the data folder if not chosen."""
        return self.chosen_store_url or str(self.data_dir / "clips")

    @cached_property
    def publish_url(self) -> str:
        """Where the `published` assets go: as the store's; a folder of the data if not chosen.

        The sandbox has a folder of its own, so that its drawings never lie among real clips.
        """
        sandbox = self.provider is ProviderName.SANDBOX
        own = self.data_dir / ("published.sandbox" if sandbox else "published")
        return self.chosen_publish_url or str(own)

    @cached_property
    def warehouse_path(self) -> Path:
        """Where people find the published DuckDB file of the provider in use; a link to it."""
        return self.data_dir / "warehouse.duckdb"

    @cached_property
    def own_warehouse_path(self) -> Path:
        """The DuckDB file that the provider in use publishes to, and no other one."""
        return self.warehouse_path.with_suffix(f".{self.provider}.duckdb")

    @cached_property
    def gallery_path(self) -> Path:
        """Where people find the gallery page of the provider in use; a link to it."""
        return self.data_dir / "gallery" / "index.html"

    @cached_property
    def own_gallery_path(self) -> Path:
        """The page of the provider in use, beside the link: the page's own links hold for both."""
        return self.gallery_path.with_suffix(f".{self.provider}.html")

    @cached_property
    def previews_dir(self) -> Path:
        """Where small previews are kept by content; a cache."""
        return self.data_dir / "previews"

    @cached_property
    def log_path(self) -> Path:
        """The newest file of structured logs."""
        return self.data_dir / "logs" / "asset-pipeline.jsonl"

    @cached_property
    def scratch_dir(self) -> Path:
        """Where downloads land until they are verified."""
        return self.data_dir / "scratch"


def load_settings() -> Settings:
    """Read the environment.

    Raises:
        ConfigurationError: A variable has a value that cannot be used.
    """
    try:
        return Settings()  # pyright: ignore[reportCallIssue] -- every field comes from the environment
    except ValidationError as error:
        # The value is left out on purpose: it may be a secret.
        problems = "; ".join(
            f"{'.'.join(str(part) for part in issue['loc'])}: {issue['msg']}"
            for issue in error.errors(include_input=False, include_url=False)
        )
        raise ConfigurationError(
            f"Environment: {problems}.", hint="Correct the variable and run the command again."
        ) from None
