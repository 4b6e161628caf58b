"""The right to pay language models, as a Dagster resource: all that drafting needs, opened."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass

import dagster as dg
from pydantic import Field

from asset_pipeline.clock import SystemClock
from asset_pipeline.defs.process_logs import logs_of_run
from asset_pipeline.defs.resources.budget import BudgetResource
from asset_pipeline.defs.resources.openrouter import OpenRouterResource
from asset_pipeline.defs.resources.prompt_library import PromptLibraryResource, Prompts
from asset_pipeline.drafting.drafter import Drafter
from asset_pipeline.drafting.paid_chat import PaidChat, Payment
from asset_pipeline.drafting.price_list import PriceList
from asset_pipeline.ledger.configurations import Configurations
from asset_pipeline.ledger.llm_calls import LlmCall, LlmCallRepository
from asset_pipeline.ledger.provider_ledger import bind_own, open_own_engine
from asset_pipeline.money import MicroUsd
from asset_pipeline.settings import ProviderName, Settings, load_settings

# A call that nobody waits for any more may go on for three minutes, and the provider's own page
# shows it within another; twice that one is waited for.
_SETTLE_SECONDS = 300.0
_SANDBOX_SETTLE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class OpenDrafting:
    """A session that may pay language models.

    Attributes:
        drafter: Drafts.
        calls: The ledger's calls.
        payment: Who pays.
        prompts: What there is already.
    """

    drafter: Drafter
    calls: LlmCallRepository
    payment: Payment
    prompts: Prompts


@dataclass(frozen=True, slots=True)
class OpenChat:
    """A session that may pay for calls.

    Attributes:
        chat: Makes them.
        prices: What they cost.
        calls: The ledger's calls.
        payment: Who pays.
    """

    chat: PaidChat
    prices: PriceList
    calls: LlmCallRepository
    payment: Payment


class DraftingResource(dg.ConfigurableResource):  # pyright: ignore[reportMissingTypeArgument]
    """Opens drafting sessions on the provider of language models and the ledger."""

    openrouter: OpenRouterResource
    prompt_library: PromptLibraryResource
    budget: BudgetResource = Field(default_factory=BudgetResource)

    @contextlib.asynccontextmanager
    async def open(
        self, run_id: str, *, max_usd: MicroUsd | None = None, again: bool = False
    ) -> AsyncGenerator[OpenDrafting]:
        """Yield the right to draft on behalf of one run; what was lost before is settled first.

        Raises:
            AssetPipelineError: Provider or ledger can't be opened, or the prompts not be read.
        """
        settings = load_settings()
        prompts = self.prompt_library.load()
        chat = open_chat(self.openrouter, self.budget, run_id, max_usd=max_usd, again=again)
        with logs_of_run(settings, run_id, None):
            async with chat as opened:
                yield OpenDrafting(
                    Drafter(
                        opened.chat,
                        opened.prices,
                        opened.calls,
                        settings.prompts_dir,
                        prompts.catalog,
                    ),
                    opened.calls,
                    opened.payment,
                    prompts,
                )

    async def settle(self) -> list[LlmCall]:
        """Lower what lost calls are charged as far as it can be proved; return those lowered.

        The provider is opened only when there is something to ask.

        Raises:
            AssetPipelineError: Provider or ledger can't be opened.
        """
        settings = load_settings()
        with open_calls(settings, self.budget) as calls:
            await asyncio.to_thread(calls.end_of_dead)
            if not await asyncio.to_thread(calls.unproved):
                return []
            provider = self.openrouter.open_provider()
            try:
                chat = PaidChat(
                    provider, calls, SystemClock(), settle_seconds=settle_seconds(settings)
                )
                return await chat.settle()
            finally:
                await provider.aclose()


@contextlib.asynccontextmanager
async def open_chat(
    openrouter: OpenRouterResource,
    budget: BudgetResource,
    run_id: str,
    *,
    max_usd: MicroUsd | None = None,
    again: bool = False,
) -> AsyncGenerator[OpenChat]:
    """Yield the right to pay for calls on behalf of one run; what was lost is settled first.

    Raises:
        AssetPipelineError: Provider or ledger can't be opened.
    """
    settings = load_settings()
    with open_calls(settings, budget) as calls:
        await asyncio.to_thread(bind_own, calls.engine, settings)
        provider = openrouter.open_provider()
        try:
            clock = SystemClock()
            chat = PaidChat(provider, calls, clock, settle_seconds=settle_seconds(settings))
            await chat.settle()
            prices = PriceList(settings.data_dir, provider, clock)
            worker_id = await asyncio.to_thread(calls.start_worker, run_id)
            try:
                payment = Payment(run_id, worker_id, max_usd, again)
                yield OpenChat(chat, prices, calls, payment)
            finally:
                calls.end_worker(worker_id)
        finally:
            await provider.aclose()


@contextlib.contextmanager
def open_calls(
    settings: Settings, budget: BudgetResource | None = None
) -> Generator[LlmCallRepository]:
    """Yield the ledger's calls and give its connections back afterwards.

    Args:
        settings: Where the ledger is.
        budget: The caps that each call is held against; those of file and environment if not given.

    Raises:
        AssetPipelineError: The ledger can't be opened.
    """
    engine, clock = open_own_engine(settings), SystemClock()
    caps = (budget or BudgetResource()).caps(settings, Configurations(engine, clock))
    calls = LlmCallRepository(engine, clock, caps.current)
    try:
        yield calls
    finally:
        calls.close()


def settle_seconds(settings: Settings) -> float:
    """Return how long after a lost reply the key's usage counts as proof."""
    late = settings.late_acceptance_seconds
    if settings.provider is ProviderName.SANDBOX:
        return _SANDBOX_SETTLE_SECONDS if late is None else late
    # What is set for Replicate, whose creates answer at once, never makes it less here.
    return max(_SETTLE_SECONDS, late or 0.0)
