"""Intents and ledgers to write tests with."""

from __future__ import annotations

import contextlib
import functools
import sqlite3
import tempfile
from collections.abc import Generator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from sqlalchemy import select
from sqlalchemy.engine import make_url

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.clock import Clock, SystemClock
from asset_pipeline.ledger.budgets import BudgetCaps
from asset_pipeline.ledger.engine import LedgerError, open_engine
from asset_pipeline.ledger.intents import IntentMovedError
from asset_pipeline.ledger.ledger import Ledger, Payer
from asset_pipeline.ledger.records import AttemptInputs, Clip, Intent, NewIntent, StoredFile
from asset_pipeline.ledger.schema import BillingState, EntryType, entries
from asset_pipeline.money import MicroUsd

PRICE = MicroUsd(3000)


def place_new_ledger(path: Path) -> None:
    """Put an empty, migrated SQLite ledger where one is to be opened."""
    path.write_bytes(_new_ledger())


@functools.cache
def _new_ledger() -> bytes:
    """Make it once a process: all the migrations take 0.1 s of CPU and several syncs each time."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "template.db"
        # The last connection folds the write-ahead log into the file.
        open_engine(SecretStr(f"sqlite:///{path}")).dispose()
        assert not path.with_name("template.db-wal").exists()
        return path.read_bytes()


class Books:
    """A ledger with one worker, whose caps a test may change at any time.

    Args:
        url: The database.
        clock: Stamps the rows.
        caps: Of :class:`BudgetCaps`, in dollars; unnamed ones are off, the total is 100 dollars.
    """

    def __init__(self, url: SecretStr, clock: Clock | None = None, **caps: object) -> None:
        self.caps: dict[str, object] = {"total_usd": "100", "daily_usd": None} | caps
        self.ledger = Ledger(open_engine(url), clock or SystemClock(), self.current_caps)
        self.payer = Payer("run-1", self.ledger.start_worker("run-1"))

    def current_caps(self) -> BudgetCaps:
        """Return the caps in force."""
        return BudgetCaps.model_validate(self.caps)

    def reserve(self, generation: str = "a", **changes: Any) -> Intent:  # noqa: ANN401 -- any field
        """Reserve a new intent of a generation."""
        found = self.ledger.reserve(new_intent(generation, **changes), self.payer)
        assert isinstance(found, Intent)
        return found

    def submitted(self, generation: str = "a", **changes: Any) -> Intent:  # noqa: ANN401
        """Bring a new intent to the state submitted."""
        intent = self.ledger.start_submitting(self.reserve(generation, **changes))
        return self.ledger.accept(intent, f"prediction-{intent.intent_id}")

    def completed(self, generation: str = "a", charge: int = PRICE, **changes: Any) -> Intent:  # noqa: ANN401
        """Bring a new intent to the state completed."""
        return self.charge(self.submitted(generation, **changes), charge)

    def charge(self, intent: Intent, amount: int) -> Intent:
        """Charge a submitted intent."""
        return self.ledger.charge(
            intent, MicroUsd(amount), billed=BillingState.BILLED, predict_seconds=1.5
        )

    def correct(self, intent: Intent, amount: int) -> Intent:
        """Correct what an ended intent was charged.

        Raises:
            IntentMovedError: It has not ended, or was changed since.
        """
        try:
            return self.ledger.correct(intent, MicroUsd(amount), "a person: because")
        except LedgerError as error:
            raise IntentMovedError(str(error)) from error

    def delivered(self, generation: str = "a", charge: int = PRICE, **changes: Any) -> Clip:  # noqa: ANN401
        """Bring a new intent to its clip."""
        intent = self.completed(generation, charge, **changes)
        return self.ledger.deliver(intent, stored_file(generation + intent.intent_id), [])

    def balance(self, budget: str = "total") -> tuple[int, int, int]:
        """Return a budget's cap, charged and reserved."""
        for row in self.ledger.balances():
            if row.budget == budget:
                return row.cap, row.charged, row.reserved
        raise KeyError(budget)

    def movements(self, budget: str = "total") -> list[tuple[EntryType, int]]:
        """Return a budget's entries, oldest first."""
        with self.ledger.engine.connect() as connection:
            rows = connection.execute(
                select(entries.c.type, entries.c.amount_microusd)
                .where(entries.c.budget == budget)
                .order_by(entries.c.entry_id)
            )
            return [(EntryType(kind), amount) for kind, amount in rows]

    def close(self) -> None:
        """Give the connections back."""
        self.ledger.close()


def database_file(url: SecretStr) -> str:
    """The file of a ledger on SQLite."""
    return make_url(url.get_secret_value()).database or ""


@contextlib.contextmanager
def locked(url: SecretStr) -> Generator[None]:
    """Hold a SQLite ledger's write lock, as another process that writes."""
    other = sqlite3.connect(database_file(url), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield
    other.execute("ROLLBACK")
    other.close()


def generation_hash(name: str) -> str:
    """A hash-shaped name."""
    return name.encode().hex().ljust(64, "0")[:64]


def new_intent(
    generation: str = "a", *, price: int = PRICE, seed: int | None = 7, **changes: object
) -> NewIntent:
    """A payment to make for a generation."""
    fields: dict[str, Any] = {
        "generation_hash": generation_hash(generation),
        "kind": Kind.IMAGE,
        "prompt_id": f"prompt-{generation}",
        "collection": "kit",
        "variant": 1,
        "model": "black-forest-labs/flux-schnell",
        "version": None,
        "prompt_text": "a lighthouse",
        "worst_case": MicroUsd(price),
        "price_source": "a price list",
        "inputs_for_attempt": lambda attempt: AttemptInputs(
            seed and seed + attempt, {"prompt": "a lighthouse"}
        ),
    }
    return NewIntent(**(fields | changes))


def stored_file(name: str = "x") -> StoredFile:
    """A stored picture."""
    sha256 = generation_hash(name)
    return StoredFile(
        object_key=f"image/{sha256[:2]}/{sha256}.webp",
        object_uri=f"file:///clips/{sha256}.webp",
        sha256=sha256,
        bytes=1234,
        mime="image/webp",
        width=64,
        height=32,
        duration_seconds=None,
    )


def day(number: int, hour: int = 12) -> datetime:
    """A time on a day of November 2026."""
    return datetime(2026, 11, number, hour, tzinfo=UTC)


def dollars(amount: int) -> Decimal:
    """Micro-dollars as dollars."""
    return Decimal(amount) / 1_000_000


def ids(found: Sequence[Intent]) -> list[str]:
    """The intents' ids."""
    return [intent.intent_id for intent in found]
