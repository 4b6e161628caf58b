"""The language models on offer, and what a call of one costs."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from pydantic import JsonValue

# Four characters a token is what English text has on average.
_CHARACTERS_A_TOKEN = 4


@dataclass(frozen=True, slots=True)
class ChatModel:
    """A model and its prices in US dollars a token."""

    name: str
    prompt: Decimal
    completion: Decimal
    context_length: int
    max_completion_tokens: int

    def cost(self, prompt_tokens: int, completion_tokens: int) -> Decimal:
        """Return what a call costs, to a ten-thousandth of a micro-dollar."""
        dollars = self.prompt * prompt_tokens + self.completion * completion_tokens
        return dollars.quantize(Decimal("1e-10"), rounding=ROUND_CEILING)

    def shown(self) -> dict[str, JsonValue]:
        """Return its row in the list of models."""
        return {
            "id": self.name,
            "name": self.name,
            "context_length": self.context_length,
            "pricing": {
                "prompt": f"{self.prompt:f}",
                "completion": f"{self.completion:f}",
                "request": "0",
                "image": "0",
            },
            "top_provider": {
                "context_length": self.context_length,
                "max_completion_tokens": self.max_completion_tokens,
                "is_moderated": False,
            },
            "supported_parameters": ["max_tokens", "response_format", "structured_outputs"],
        }


def tokens_of(text: str) -> int:
    """Return how many tokens a text has."""
    return -(-len(text) // _CHARACTERS_A_TOKEN)


MODELS = {
    model.name: model
    for model in (
        ChatModel(
            "openai/gpt-4o-mini", Decimal("0.00000015"), Decimal("0.0000006"), 128_000, 16_384
        ),
        ChatModel(
            "google/gemini-2.5-flash", Decimal("0.0000003"), Decimal("0.0000025"), 1_048_576, 65_535
        ),
        ChatModel(
            "anthropic/claude-haiku-4.5", Decimal("0.000001"), Decimal("0.000005"), 200_000, 64_000
        ),
    )
}
