"""Rewriting refused prompts in a run: a language model, opened by the first that needs it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator

from asset_pipeline.catalog.reader import Catalog
from asset_pipeline.defs.resources.budget import BudgetResource
from asset_pipeline.defs.resources.drafting import open_chat
from asset_pipeline.defs.resources.openrouter import OpenRouterResource
from asset_pipeline.drafting.rewriting import PromptRewriter
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.generation.retry.rewriter import Rewriting
from asset_pipeline.money import MicroUsd
from asset_pipeline.prompts.spec import Prompt

_log = logging.getLogger(__name__)


class RunRewriter:
    """A run's :class:`~asset_pipeline.generation.retry.rewriter.Rewriter`.

    Most runs need none, so that provider and ledger are opened by the first refused prompt. Calls
    go one after another: the variants of a prompt want the same text, which is paid for once.

    Args:
        stack: Closes what is opened.
        budget: The caps that each call is held against.
        run_id: Who pays: the run, or the launch that its caps are for.
        run_cap: The cap of that run, which counts these calls too.
        catalog: The models that make clips.
    """

    def __init__(
        self,
        stack: contextlib.AsyncExitStack,
        budget: BudgetResource,
        run_id: str,
        run_cap: MicroUsd | None,
        catalog: Catalog,
    ) -> None:
        self._stack = stack
        self._budget = budget
        self._run_id = run_id
        self._run_cap = run_cap
        self._catalog = catalog
        self._turn = asyncio.Lock()
        self._opened: PromptRewriter | None = None

    async def rewrite(self, prompt: Prompt) -> Rewriting:
        """Return a harmless text for a prompt; what hinders it is logged, and the text empty."""
        async with self._turn:
            try:
                rewriter = self._opened or await self._open()
                return Rewriting(*await rewriter.rewrite(prompt))
            except AssetPipelineError as error:
                _log.warning("%s is not rewritten: %s", prompt.prompt_id, error.message)
            except Exception as error:  # noqa: BLE001 -- one text that stays stops no other clip
                kind = type(error).__name__
                _log.warning("%s is not rewritten: %s: %s", prompt.prompt_id, kind, error)
            return Rewriting()

    async def _open(self) -> PromptRewriter:
        opened = await self._stack.enter_async_context(
            open_chat(OpenRouterResource(), self._budget, self._run_id, max_usd=self._run_cap)
        )
        self._opened = PromptRewriter(
            opened.chat, opened.prices, opened.calls, opened.payment, self._catalog
        )
        return self._opened


@contextlib.asynccontextmanager
async def open_rewriter(
    budget: BudgetResource, run_id: str, run_cap: MicroUsd | None, catalog: Catalog
) -> AsyncGenerator[RunRewriter]:
    """Yield a run's rewriter, and close in the end what it opened."""
    async with contextlib.AsyncExitStack() as stack:
        yield RunRewriter(stack, budget, run_id, run_cap, catalog)
