"""Prompts whose stored clip is gone: they are missing, whatever Dagster remembers of them."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace

from asset_pipeline.clock import SystemClock
from asset_pipeline.ledger.custody import CustodyBook
from asset_pipeline.prompts.spec import Prompt
from asset_pipeline.prompts.states import PromptStates
from asset_pipeline.resources.own_ledger import open_own_engine
from asset_pipeline.settings import load_settings


def with_losses(states: PromptStates, prompts: Iterable[Prompt]) -> PromptStates:
    """Return states that know which prompts lack a clip because its file is gone.

    Raises:
        LedgerError: The ledger can't be read.
    """
    with closing(CustodyBook(open_own_engine(load_settings()), SystemClock())) as book:
        vacant = book.vacant()
    lost = frozenset(
        (prompt.kind, prompt.prompt_id)
        for prompt in prompts
        if any(
            (prompt.kind, prompt.prompt_id, number) in vacant
            for number in range(1, prompt.variants + 1)
        )
    )
    return replace(states, lost=lost)
