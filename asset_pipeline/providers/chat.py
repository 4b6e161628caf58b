"""What a call to a language model says, and what its provider answers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from pydantic import JsonValue

from asset_pipeline.catalog.token_prices import TokenPrice
from asset_pipeline.providers.protocol import UnclearError

# What a chat's own marks around each message take, counted high.
_BYTES_A_MESSAGE = 64


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message: who says it (``system`` or ``user``) and what."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One call to be paid for.

    Attributes:
        model: As the provider names it.
        messages: In their order.
        schema_name: What the answer's form is called.
        schema: The JSON schema that the answer has to keep to.
        max_tokens: The longest answer.
        temperature: How freely the model chooses its words, from 0 to 2.
    """

    model: str
    messages: tuple[ChatMessage, ...]
    schema_name: str
    schema: Mapping[str, JsonValue]
    max_tokens: int
    temperature: float = 0.7

    @property
    def call_hash(self) -> str:
        """SHA-256 of all that decides the answer: the same call is never paid for twice."""
        canonical = json.dumps(
            self.content(), sort_keys=True, separators=(",", ":"), ensure_ascii=False
        )
        return hashlib.sha256(f"chat:{canonical}".encode()).hexdigest()

    @property
    def sent_bytes(self) -> int:
        """How long what is sent is, in bytes: an upper bound of its tokens."""
        texts = [message.content for message in self.messages]
        texts.append(json.dumps(self.schema, ensure_ascii=False))
        length = sum(len(text.encode()) for text in texts)
        return length + _BYTES_A_MESSAGE * (len(self.messages) + 1)

    def content(self) -> dict[str, JsonValue]:
        """Return what is asked, as the API takes it."""
        return {
            "model": self.model,
            "messages": [
                {"role": message.role, "content": message.content} for message in self.messages
            ],
            "response_format": {
                "type": "json_schema",
                "json_schema": {
                    "name": self.schema_name,
                    "strict": True,
                    "schema": dict(self.schema),
                },
            },
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "stream": False,
        }


@dataclass(frozen=True, slots=True)
class ChatAnswer:
    """What came back for one call, with nothing decided about it.

    Attributes:
        generation_id: The provider's id of it; empty where it gave none.
        model: Which model answered.
        content: What it wrote.
        refusal: Why it would not write; empty if it did.
        finish_reason: Why it ended: ``stop``, ``length``, ``content_filter``, ``error``.
        error: What went wrong on the provider's side, though it answered; empty if nothing.
        cost: US dollars as the provider counts them; None where it says nothing usable.
        prompt_tokens: Tokens sent, None where it says nothing.
        completion_tokens: Tokens written, None where it says nothing.
    """

    generation_id: str
    model: str
    content: str
    refusal: str
    finish_reason: str
    error: str
    cost: Decimal | None
    prompt_tokens: int | None
    completion_tokens: int | None


class UnreadableAnswerError(UnclearError):
    """An answer began and can't be read whole: it was made, and its price is not known.

    Attributes:
        generation_id: As far as it could be read; empty otherwise.
    """

    def __init__(self, message: str, *, generation_id: str = "") -> None:
        super().__init__(message)
        self.generation_id = generation_id


class ChatProvider(Protocol):
    """Who answers calls to language models."""

    @property
    def name(self) -> str:
        """What it is called where its work is recorded."""
        ...

    @property
    def base_url(self) -> str:
        """The address that is asked, without secrets."""
        ...

    @property
    def account(self) -> str:
        """Which key pays: a digest of it, never the key."""
        ...

    async def prices(self) -> dict[str, TokenPrice]:
        """Return what each model charges now.

        Raises:
            UnavailableError: It can't be told now; asking again is free.
        """
        ...

    async def key_usage(self) -> Decimal:
        """Return what the key has spent in all, in US dollars.

        Raises:
            RefusedError: The key is not valid.
            UnavailableError: It can't be told now; asking again is free.
        """
        ...

    async def cost_of(self, generation_id: str) -> Decimal | None:
        """Return what a finished call cost, in US dollars; None as long as it is not known.

        Raises:
            UnavailableError: It can't be told now; asking again is free.
        """
        ...

    async def complete(self, request: ChatRequest, price: TokenPrice) -> ChatAnswer:
        """Send exactly one POST.

        Raises:
            RefusedError: Certainly nothing was made and nothing is owed.
            UnclearError: Nobody can tell: it may be paid for.
        """
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...
