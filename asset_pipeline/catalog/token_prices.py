"""What a language model charges a token, and what a call of it can cost at the most."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from asset_pipeline.money import MicroUsd, micro_usd_ceiling

_PER_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class TokenPrice:
    """One model's prices as its provider listed them.

    Attributes:
        model: As the provider names it, ``openai/gpt-4o-mini``.
        prompt: US dollars a token that is sent.
        completion: US dollars a token that is written, thinking included.
        request: US dollars a call, whatever its length.
        context_length: Tokens that a call may have in all; zero where none is told.
        max_completion_tokens: Tokens that an answer may have; zero where none is told.
        listed_at: When the provider said so.
    """

    model: str
    prompt: Decimal
    completion: Decimal
    request: Decimal
    context_length: int
    max_completion_tokens: int
    listed_at: datetime

    def worst_case(self, sent_bytes: int, max_tokens: int) -> MicroUsd:
        """Return what a call costs at the most.

        Args:
            sent_bytes: The length of all that is sent, in UTF-8. A token has at least one byte,
                so that there are never more tokens than bytes.
            max_tokens: The longest answer that the call allows.
        """
        dollars = self.prompt * sent_bytes + self.completion * max_tokens + self.request
        return micro_usd_ceiling(dollars)

    @property
    def source(self) -> str:
        """Where the price comes from, for people."""
        sent, written = self.prompt * _PER_MILLION, self.completion * _PER_MILLION
        return (
            f"listed {self.listed_at:%Y-%m-%d}: ${sent.normalize():f} a million tokens sent, "
            f"${written.normalize():f} written"
        )
