"""Who rewrites a prompt that was refused for its content: a language model, paid for each text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from asset_pipeline.prompts.spec import Prompt


@dataclass(frozen=True, slots=True)
class Rewriting:
    """What came of asking for another text.

    Attributes:
        text: The text, without the style; empty where none was to be had.
        call: The paid call that wrote it, in the ledger.
    """

    text: str = ""
    call: str = ""


class Rewriter(Protocol):
    """Rewrites prompts; the same prompt is rewritten once, and that text kept."""

    async def rewrite(self, prompt: Prompt) -> Rewriting:
        """Return a harmless text for a prompt; what hinders it is logged, and the text empty."""
        ...
