"""Resuming at a site, as the reconcile job does, without any worker's prompts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from pydantic import SecretStr

from asset_pipeline.catalog.reader import Catalog, load_catalog
from asset_pipeline.clock import SystemClock
from asset_pipeline.generation.reconciliation.resume import Resumed, resume_all
from asset_pipeline.generation.session import SessionPlan, open_session
from asset_pipeline.prompts.library import Library
from asset_pipeline.prompts.spec import Prompt
from asset_pipeline.providers.replicate import ReplicateProvider
from asset_pipeline_tests.support.crash.site import Site


def provider_at(site: Site, token: str = "r8_sandbox") -> ReplicateProvider:
    """The provider at a site's server, asked by the account of a token."""
    return ReplicateProvider(SecretStr(token), site.url, request_seconds=5)


def resume(
    site: Site,
    prompts: Iterable[Prompt] = (),
    catalog: Catalog | None = None,
    token: str = "r8_sandbox",
) -> list[Resumed]:
    """Resume all open intents of a site's ledger.

    Args:
        site: Whose.
        prompts: Those that are in the prompt files now.
        catalog: The models known now; all that come with the project, if not given.
        token: Names the account that asks.
    """
    library = Library({(prompt.kind, prompt.prompt_id): prompt for prompt in prompts}, ())

    async def run() -> list[Resumed]:
        job = site.job(())
        plan = SessionPlan(
            run_id="reconcile",
            previews=site.folder / "previews",
            scratch=site.folder / "scratch",
            rate_limit_per_minute=0,
            max_in_flight=8,
            max_images_decoded=2,
            timing=job.timing,
        )
        ledger, provider = job.open_ledger(), provider_at(site, token)
        try:
            async with open_session(
                plan, ledger=ledger, provider=provider, store=job.store, clock=SystemClock()
            ) as paid_call:
                return await resume_all(
                    paid_call,
                    ledger,
                    provider,
                    catalog=catalog or load_catalog(None),
                    library=library,
                    prompts_dir=site.folder,
                    clock=SystemClock(),
                )
        finally:
            ledger.close()

    return asyncio.run(run())
