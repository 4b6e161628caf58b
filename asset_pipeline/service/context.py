"""What all routes work with: one ledger, one store, the models and the prompts as they are now."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_network

from fastapi import Request
from sqlalchemy import Engine

from asset_pipeline.catalog.reader import Catalog, load_catalog
from asset_pipeline.clock import Clock, SystemClock
from asset_pipeline.defs.resources.submitted import with_engines
from asset_pipeline.errors import ConfigurationError
from asset_pipeline.ledger.api_keys import ApiKeys
from asset_pipeline.ledger.budgets import CapsSource
from asset_pipeline.ledger.clip_pages import ClipPages
from asset_pipeline.ledger.configurations import Configurations
from asset_pipeline.ledger.provider_ledger import open_own_engine
from asset_pipeline.ledger.reports import LedgerReader
from asset_pipeline.ledger.request_rates import RequestRates
from asset_pipeline.ledger.reviews import Reviews
from asset_pipeline.ledger.service_audit import ServiceAudit
from asset_pipeline.ledger.submissions import Submissions
from asset_pipeline.ledger.submitted import SubmittedPrompts
from asset_pipeline.ledger.uploads import Uploads
from asset_pipeline.monitoring.ledger_parts import DAEMON_SENSOR, DAEMON_SILENT
from asset_pipeline.prompts.file_cache import KeptFiles
from asset_pipeline.prompts.library import Library, load_library
from asset_pipeline.settings import Settings
from asset_pipeline.stores.environment import bucket_settings
from asset_pipeline.stores.factory import open_store
from asset_pipeline.stores.protocol import Store


@dataclass
class ServiceContext:
    """Opened once a process.

    Attributes:
        stopping: Set when the process is to end: streams end then.
        login_required: Whether somebody has to say who they are; asked of the ledger now and then.
    """

    settings: Settings
    engine: Engine
    clock: Clock = field(default_factory=SystemClock)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _reading: threading.Lock = field(default_factory=threading.Lock)
    _kept: KeptFiles = field(default_factory=KeptFiles)

    @cached_property
    def submissions(self) -> Submissions:
        """What was asked for."""
        return Submissions(self.engine, self.clock)

    @cached_property
    def submitted(self) -> SubmittedPrompts:
        """Prompts that came over HTTP."""
        return SubmittedPrompts(self.engine, self.clock)

    @cached_property
    def reviews(self) -> Reviews:
        """What people decided."""
        return Reviews(self.engine, self.clock)

    @cached_property
    def keys(self) -> ApiKeys:
        """Who may come in."""
        return ApiKeys(self.engine, self.clock)

    @cached_property
    def rates(self) -> RequestRates:
        """How often."""
        return RequestRates(self.engine, self.clock)

    @cached_property
    def uploads(self) -> Uploads:
        """Files that prompts start from."""
        return Uploads(self.engine, self.clock)

    @cached_property
    def audit(self) -> ServiceAudit:
        """Who did what."""
        return ServiceAudit(self.engine, self.clock)

    @cached_property
    def clips(self) -> ClipPages:
        """Stored clips in pages."""
        return ClipPages(self.engine, self.clock)

    @cached_property
    def ledger(self) -> LedgerReader:
        """Balances, and what is stored of generations."""
        return LedgerReader(self.engine)

    @cached_property
    def caps(self) -> CapsSource:
        """The budgets' caps."""
        return CapsSource(self.settings, Configurations(self.engine, self.clock))

    @cached_property
    def store(self) -> Store:
        """Where clips lie."""
        return open_store(self.settings.store_url, bucket_settings(self.settings))

    @cached_property
    def proxies(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """From where forwarded identities are believed.

        Raises:
            ConfigurationError: One of them is no address.
        """
        words = [word.strip() for word in self.settings.trusted_proxies.split(",")]
        try:
            return tuple(ip_network(word, strict=False) for word in words if word)
        except ValueError as error:
            raise ConfigurationError(
                f"ASSET_PIPELINE_TRUSTED_PROXIES: {error}.",
                hint="Write addresses or networks with commas between them: 10.0.0.5,10.1.0.0/16.",
            ) from None

    @cached_property
    def cors_origins(self) -> tuple[str, ...]:
        """Which other sites' pages may call."""
        words = [word.strip().rstrip("/") for word in self.settings.cors_origins.split(",")]
        return tuple(word for word in words if word)

    def catalog(self) -> Catalog:
        """Return the models as they are configured now."""
        return load_catalog(self.settings.config_dir)

    def library(self) -> Library:
        """Return all prompts as they are now; what was read before and stands still is kept."""
        catalog = self.catalog()
        with self._reading:
            files = load_library(self.settings.prompts_dir, catalog, kept=self._kept)
        return with_engines(files, catalog, self.settings, self.engine)

    def daemon_lives(self) -> bool:
        """Tell whether Dagster's daemon was heard of lately: without it, submissions wait."""
        seen = self.submissions.last_beat(DAEMON_SENSOR)
        return seen is not None and self.clock.now() - seen < DAEMON_SILENT


def open_context(settings: Settings) -> ServiceContext:
    """Open the ledger and the store for the service.

    Raises:
        AssetPipelineError: One of them can't be opened.
    """
    context = ServiceContext(settings, open_own_engine(settings))
    _ = context.proxies  # a wrong address is said at the start
    return context


def context_of(request: Request) -> ServiceContext:
    """Return the context of the app that a request came to."""
    found: ServiceContext = request.app.state.context
    return found


Opener = Callable[[], ServiceContext]
