"""Maintenance of the ledger as a Dagster resource: resuming and auditing."""

from __future__ import annotations

import contextlib
from datetime import datetime, timedelta

import dagster as dg

from asset_pipeline.catalog.reader import load_catalog
from asset_pipeline.clock import SystemClock
from asset_pipeline.defs.resources.generation import GenerationResource, RunLimits
from asset_pipeline.defs.resources.prompt_library import PromptLibraryResource, Prompts
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.generation.reconciliation.orphans import (
    OrphanReport,
    ProviderSilentError,
    audit_orphans,
)
from asset_pipeline.generation.reconciliation.resume import (
    Resumed,
    is_for_a_person,
    question,
    resume_all,
)
from asset_pipeline.generation.temp_files import Swept, sweep, swept_folders
from asset_pipeline.ledger.audit import AuditReport
from asset_pipeline.ledger.schema import OPEN_STATES
from asset_pipeline.prompts.library import Library
from asset_pipeline.providers.protocol import UnavailableError
from asset_pipeline.settings import load_settings
from asset_pipeline.stores.protocol import StoreError

# No upload takes so long, and a bucket's own rules end the parts of one after the same time.
_OLD_PARTS = timedelta(days=1)


class MaintenanceResource(dg.ConfigurableResource):  # pyright: ignore[reportMissingTypeArgument]
    """Finishes what dead processes left, and audits the ledger and the provider's listing.

    Nothing here submits a prediction.
    """

    generation: GenerationResource
    prompt_library: PromptLibraryResource

    async def resume_open_intents(self, run_id: str) -> list[Resumed]:
        """Finish all open intents; return what became of each, oldest first.

        The provider is opened only when it has to be asked.

        Raises:
            AssetPipelineError: Provider, ledger or store can't be opened.
        """
        with self.generation.ledger.open() as ledger:
            found = ledger.intents_in(OPEN_STATES)
        if all(map(is_for_a_person, found)):
            return [question(intent) for intent in found]
        prompts = self._prompts()
        async with self.generation.open_payment(RunLimits(run_id)) as opened:
            return await resume_all(
                opened.paid_call,
                opened.ledger,
                opened.provider,
                catalog=prompts.catalog,
                library=prompts.library,
                prompts_dir=prompts.folder,
                clock=SystemClock(),
            )

    def audit_ledger(self) -> AuditReport:
        """Derive all balances and states again and list what does not agree.

        Raises:
            LedgerError: It can't be read.
        """
        with self.generation.ledger.open() as ledger:
            return ledger.audit()

    async def audit_orphans(self, reach: timedelta) -> OrphanReport:
        """Record what the provider made in the last ``reach`` of time and no intent asked for.

        Raises:
            ProviderSilentError: The provider can't be asked, or could not list everything;
                nothing was recorded.
        """
        since: datetime = SystemClock().now() - reach
        catalog = load_catalog(load_settings().config_dir)
        try:
            provider = self.generation.replicate.open_provider()
        except AssetPipelineError as error:
            message = f"The provider can't be asked: {error.message}"
            raise ProviderSilentError(message, hint=error.hint) from error
        try:
            with self.generation.ledger.open() as ledger:
                return await audit_orphans(provider, ledger, catalog, since, SystemClock())
        except UnavailableError as error:
            raise ProviderSilentError(
                f"The provider did not list its predictions: {error.message}.",
                hint="Nothing was recorded; run it again.",
            ) from error
        finally:
            await provider.aclose()

    def sweep(self) -> Swept:
        """Remove the old temporary files of dead processes, and the parts of their uploads."""
        store, now = self.generation.store.open(), SystemClock().now()
        with self.generation.ledger.open() as ledger:
            swept = sweep(swept_folders(load_settings(), store), now, has_ended=ledger.has_ended)
        # Nothing is lost by parts that stay: the bucket's own rules end them too.
        with contextlib.suppress(StoreError):
            return Swept(swept.files + store.sweep(now - _OLD_PARTS), swept.bytes)
        return swept

    def _prompts(self) -> Prompts:
        """Return the prompts, or none if they can't be read: open payments need none."""
        try:
            return self.prompt_library.load()
        except AssetPipelineError:
            settings = load_settings()
            catalog = load_catalog(settings.config_dir)
            return Prompts(catalog, Library({}, ()), settings.prompts_dir)
