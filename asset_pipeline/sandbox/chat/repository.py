"""The calls that were accepted and what each cost, in the sandbox's state."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from decimal import Decimal

from pydantic import JsonValue

from asset_pipeline.sandbox.state import State

_SCHEMA = """
CREATE TABLE IF NOT EXISTS chats (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  account TEXT NOT NULL,
  model TEXT NOT NULL,
  prompt_tokens INTEGER NOT NULL,
  completion_tokens INTEGER NOT NULL,
  cost_usd TEXT NOT NULL,
  created_us INTEGER NOT NULL
)
"""


@dataclass(frozen=True, slots=True)
class Accepted:
    """One call that is paid for."""

    id: str
    model: str
    prompt_tokens: int
    completion_tokens: int
    cost: Decimal

    def shown(self) -> dict[str, JsonValue]:
        """Return its line of the bill."""
        return {
            "id": self.id,
            "model": self.model,
            "tokens_prompt": self.prompt_tokens,
            "tokens_completion": self.completion_tokens,
            "total_cost": float(self.cost),
        }


class ChatRepository:
    """Keeps the calls of all accounts."""

    def __init__(self, state: State) -> None:
        self._state = state
        state.connection.execute(_SCHEMA)

    def accept(
        self, account: str, model: str, prompt_tokens: int, completion_tokens: int, cost: Decimal
    ) -> Accepted:
        """Write down a call; from here on it is paid for."""
        call = Accepted(
            f"gen-{secrets.token_hex(12)}", model, prompt_tokens, completion_tokens, cost
        )
        self._state.connection.execute(
            "INSERT INTO chats (id, account, model, prompt_tokens, completion_tokens, cost_usd,"
            " created_us) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (call.id, account, model, prompt_tokens, completion_tokens, str(cost), self._now()),
        )
        return call

    def all(self, account: str | None = None) -> list[Accepted]:
        """Return the calls, oldest first; of all accounts if none is named."""
        rows = self._state.connection.execute(
            "SELECT * FROM chats WHERE account = coalesce(?, account) ORDER BY number", (account,)
        )
        return [
            Accepted(
                row["id"],
                row["model"],
                row["prompt_tokens"],
                row["completion_tokens"],
                Decimal(row["cost_usd"]),
            )
            for row in rows
        ]

    def find(self, generation_id: str, account: str) -> Accepted | None:
        """Return a call of an account by its id."""
        return next((call for call in self.all(account) if call.id == generation_id), None)

    def _now(self) -> int:
        return self._state.now_us()
