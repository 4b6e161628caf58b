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

    replicate_api_token: SecretStr | None = Field(
        None,
        alias="REPLICATE_API_TOKEN",
        description="The token of your Replicate account; without one the sandbox is used.",
    )
    replicate_base_url: str | None = Field(
        None,
        alias="REPLICATE_BASE_URL",
        description="Another server that speaks Replicate's API; Replicate itself if not set.",
    )
    openrouter_api_key: SecretStr | None = Field(
        None,
        alias="OPENROUTER_API_KEY",
        description="The key of your OpenRouter account, which drafts of prompts are paid with; "
        "without one the sandbox writes them.",
    )
    openrouter_base_url: str | None = Field(
        None,
        alias="OPENROUTER_BASE_URL",
        description="Another server that speaks OpenRouter's API; OpenRouter itself if not set.",
    )
    chosen_provider: ProviderName | None = Field(
        None,
        alias="ASSET_PIPELINE_PROVIDER",
        description="Who makes the clips; decided by whether there is a token if not set.",
    )
    prompts_dir: Path = Field(
        Path("prompts"),
        alias="ASSET_PIPELINE_PROMPTS_DIR",
        description="Where the prompt files are.",
    )
    data_dir: Path = Field(
        Path("data"),
        alias="ASSET_PIPELINE_DATA_DIR",
        description="Where ledger, clips, tables, gallery, logs and reports are kept.",
    )
    config_dir: Path = Field(
        Path("config"),
        alias="ASSET_PIPELINE_CONFIG_DIR",
        description="Where budgets.yaml, models.yaml, retry_rules.yaml, retention.yaml and "
        "schedules.yaml are.",
    )
    chosen_ledger_url: SecretStr | None = Field(
        None,
        alias="ASSET_PIPELINE_LEDGER_URL",
        description="The ledger's database, sqlite:///path or "
        "postgresql://user:password@host/name; SQLite in the data folder if not set.",
    )
    chosen_store_url: str | None = Field(
        None,
        alias="ASSET_PIPELINE_STORE_URL",
        description="Where clips are stored: a folder, s3://bucket/prefix or gs://bucket/prefix; "
        "a folder in the data folder if not set.",
    )
    store_encryption: Literal["AES256", "aws:kms", "aws:kms:dsse"] | None = Field(
        None,
        alias="ASSET_PIPELINE_STORE_ENCRYPTION",
        description="The server-side encryption that an S3 bucket asks for.",
    )
    store_kms_key: str = Field(
        "",
        alias="ASSET_PIPELINE_STORE_KMS_KEY",
        description="The KMS key that objects are encrypted with.",
    )
    store_requester_pays: bool = Field(
        default=False,
        alias="ASSET_PIPELINE_STORE_REQUESTER_PAYS",
        description="Whether requests to an S3 bucket are paid for by us.",
    )
    store_user_project: str = Field(
        "",
        alias="ASSET_PIPELINE_STORE_USER_PROJECT",
        description="The Google Cloud project that pays for requests to a GCS bucket.",
    )
    store_addressing: Literal["auto", "path", "virtual"] = Field(
        "auto",
        alias="ASSET_PIPELINE_STORE_ADDRESSING",
        description="How an S3 bucket is named in addresses.",
    )
    store_headers: SecretStr | None = Field(
        None,
        alias="ASSET_PIPELINE_STORE_HEADERS",
        description="Headers that are sent with each request to an S3 bucket, as a JSON object.",
    )
    chosen_publish_url: str | None = Field(
        None,
        alias="ASSET_PIPELINE_PUBLISH_URL",
        description="Where the published assets go, as for the store; a folder in the data folder "
        "if not set.",
    )
    max_in_flight: int = Field(
        64,
        ge=1,
        le=1000,
        alias="ASSET_PIPELINE_MAX_IN_FLIGHT",
        description="Clips that one batch has in flight at a time.",
    )
    rate_limit_per_minute: int = Field(
        600,
        ge=0,
        alias="ASSET_PIPELINE_RATE_LIMIT_PER_MINUTE",
        description="Creates a minute, over all processes that share the ledger; 0 for no limit "
        "of our own.",
    )
    budget_total_usd: Decimal | None = Field(
        None,
        ge=0,
        alias="ASSET_PIPELINE_BUDGET_TOTAL_USD",
        description="The cap on all spending, over budgets.yaml.",
    )
    budget_daily_usd: Decimal | None = Field(
        None,
        ge=0,
        alias="ASSET_PIPELINE_BUDGET_DAILY_USD",
        description="The cap on a UTC day's spending, over budgets.yaml.",
    )
    budget_run_usd: Decimal | None = Field(
        None,
        ge=0,
        alias="ASSET_PIPELINE_BUDGET_RUN_USD",
        description="The cap on a run's spending, over budgets.yaml.",
    )
    webhook_url: SecretStr | None = Field(
        None,
        alias="ASSET_PIPELINE_WEBHOOK_URL",
        description="A public address that Replicate tells of each prediction's end; lost replies "
        "are found by it.",
    )
    late_acceptance_seconds: float | None = Field(
        None,
        ge=0,
        le=3600,
        alias="ASSET_PIPELINE_LATE_ACCEPTANCE_SECONDS",
        description="A create without an answer is not called absent before so many seconds; 120 "
        "if not set, 15 at the sandbox.",
    )
    alert_webhook_url: SecretStr | None = Field(
        None,
        alias="ASSET_PIPELINE_ALERT_WEBHOOK_URL",
        description="Where failed runs are told, such as a Slack webhook.",
    )
    max_images_decoded: int = Field(
        2,
        ge=1,
        le=64,
        alias="ASSET_PIPELINE_MAX_IMAGES_DECODED",
        description="Pictures decoded at a time, which bounds memory.",
    )
    decoder_megabytes: int = Field(
        2048,
        ge=512,
        le=65536,
        alias="ASSET_PIPELINE_DECODER_MEGABYTES",
        description="Memory that the decoder of one file may take; the largest picture takes 820.",
    )
    decoder_cpu_seconds: int = Field(
        60,
        ge=1,
        le=3600,
        alias="ASSET_PIPELINE_DECODER_CPU_SECONDS",
        description="Computing that one file may take; the largest picture takes 5 seconds.",
    )
    decoder_wall_seconds: float = Field(
        300.0,
        ge=1,
        le=86400,
        alias="ASSET_PIPELINE_DECODER_WALL_SECONDS",
        description="Time that one file may take on a busy machine.",
    )
    signing_cert: str | None = Field(
        None,
        alias="ASSET_PIPELINE_SIGNING_CERT",
        description="The certificate chain that files are signed with: PEM text, or its file.",
    )
    signing_key: SecretStr | None = Field(
        None,
        alias="ASSET_PIPELINE_SIGNING_KEY",
        description="The private key of that certificate: PEM text, or its file.",
    )
    trust_anchors: str | None = Field(
        None,
        alias="ASSET_PIPELINE_TRUST_ANCHORS",
        description="Certificates that `verify` trusts besides: PEM text, or their file.",
    )

    service_url: str | None = Field(
        None,
        alias="ASSET_PIPELINE_SERVICE_URL",
        description="Where people reach the service; pages of Dagster and the gallery link to it.",
    )
    trusted_proxies: str = Field(
        "",
        alias="ASSET_PIPELINE_TRUSTED_PROXIES",
        description="Addresses of proxies that may say who asks, separated by commas.",
    )
    proxy_user_header: str = Field(
        "X-Forwarded-User",
        alias="ASSET_PIPELINE_PROXY_USER_HEADER",
        description="The header in which a trusted proxy names the person.",
    )
    proxy_scopes: str = Field(
        "read,review,generate",
        alias="ASSET_PIPELINE_PROXY_SCOPES",
        description="What people that a trusted proxy names may do.",
    )
    cors_origins: str = Field(
        "",
        alias="ASSET_PIPELINE_CORS_ORIGINS",
        description="Origins of other sites whose pages may use the service's API.",
    )
    upload_quota_mb: int = Field(
        1024,
        ge=1,
        alias="ASSET_PIPELINE_UPLOAD_QUOTA_MB",
        description="Megabytes of uploaded reference files a key.",
    )
    upload_days: int = Field(
        7,
        ge=1,
        le=365,
        alias="ASSET_PIPELINE_UPLOAD_DAYS",
        description="Days that an uploaded file is kept.",
    )

    otlp_endpoint: str | None = Field(
        None,
        alias="ASSET_PIPELINE_OTLP_ENDPOINT",
        description="Where traces are sent by OTLP over HTTP, such as http://localhost:4318; none "
        "are made if neither this nor OTEL_EXPORTER_OTLP_ENDPOINT is set.",
    )
    lineage_url: str | None = Field(
        None,
        alias="ASSET_PIPELINE_OPENLINEAGE_URL",
        description="Where an OpenLineage event is sent for each run, such as "
        "http://localhost:5000/api/v1/lineage; none are sent if not set.",
    )

    allow_private_outputs: bool = Field(
        default=False,
        alias="ASSET_PIPELINE_ALLOW_PRIVATE_OUTPUTS",
        description="Whether outputs may be fetched from private networks and this machine though "
        "the API is a public one.",
    )

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
        try:
            return value.expanduser().absolute()
        except RuntimeError:
            raise ValueError("there is no such user's home folder") from None

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

    @property
    def has_no_ledger_yet(self) -> bool:
        """Whether the ledger is a SQLite file that nobody has made; nothing is opened for it."""
        scheme, _, rest = self.ledger_url.get_secret_value().partition(":///")
        path = rest.partition("?")[0]
        return scheme.partition("+")[0] == "sqlite" and bool(path) and not Path(path).is_file()

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
    def uploads_dir(self) -> Path:
        """Where files that were uploaded for prompts to start from lie until they expire."""
        return self.data_dir / "uploads"

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
