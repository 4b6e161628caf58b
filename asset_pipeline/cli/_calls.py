"""Calls to language models whose price is not known: lowered where it can be proved, and told."""

from __future__ import annotations

import asyncio

from rich.console import Console

from asset_pipeline.cli._output import say, stderr
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.ledger.llm_calls import UnprovedCalls
from asset_pipeline.ledger.reports import LedgerReader
from asset_pipeline.money import format_usd


def settle_calls() -> None:
    """Ask the key's usage what lost calls can have cost, and say what became of them.

    Raises:
        AssetPipelineError: The ledger can't be opened.
    """
    # Dagster's resources, which only a lost call needs.
    from asset_pipeline.defs.resources.drafting import DraftingResource, open_calls  # noqa: PLC0415
    from asset_pipeline.defs.resources.openrouter import OpenRouterResource  # noqa: PLC0415
    from asset_pipeline.defs.resources.prompt_library import PromptLibraryResource  # noqa: PLC0415
    from asset_pipeline.settings import load_settings  # noqa: PLC0415

    drafting = DraftingResource(
        openrouter=OpenRouterResource(), prompt_library=PromptLibraryResource()
    )
    try:
        lowered = asyncio.run(drafting.settle())
    except AssetPipelineError as error:
        say(stderr(), f"Lost calls to language models stay as they are: {error.message}", "yellow")
        lowered = []
    for call in lowered:
        say(stderr(), f"Call {call.intent_id[:12]} for {call.subject}: {call.note}")
    with open_calls(load_settings()) as calls:
        show_unproved(stderr(), UnprovedCalls.of(calls.engine))


def show_unproved(console: Console, found: UnprovedCalls) -> None:
    """Say how many calls stand at their worst case; nothing without any."""
    if found.count:
        say(
            console,
            f"Calls to language models charged at their worst case, {format_usd(found.charged)} in "
            f"all, because no answer says what they cost: {found.count:,}. "
            "`asset-pipeline reconcile` lowers them once the key's usage proves less.",
            "yellow",
        )


def unproved_calls(ledger: LedgerReader) -> UnprovedCalls:
    """Return how many calls stand at their worst case."""
    return UnprovedCalls.of(ledger.engine)
