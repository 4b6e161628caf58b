"""Ledgers written row by row, in the states that matter to the published tables."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import Engine, Table, insert

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.ledger.engine import open_engine
from asset_pipeline.ledger.schema import budgets, clips, entries, intents, lineage
from asset_pipeline.prompts.spec import Prompt

Row = tuple[Table, dict[str, object]]

NOW = datetime(2026, 11, 21, 23, 30, tzinfo=UTC)


def new_ledger(folder: Path) -> Engine:
    """An empty ledger in a SQLite file."""
    return open_engine(SecretStr(f"sqlite:///{folder / 'ledger.db'}"))


def fill(engine: Engine, rows: Iterable[Row]) -> None:
    """Write rows in one transaction."""
    with engine.begin() as connection:
        for table, row in rows:
            connection.execute(insert(table), row)


def intent(intent_id: str, **changes: object) -> Row:
    """A delivered, charged intent of the prompt ``cover``, but for the changes."""
    row = {
        "intent_id": intent_id,
        "generation_hash": f"hash-{intent_id}",
        "attempt": 1,
        "kind": "image",
        "prompt_id": "cover",
        "collection": "kit",
        "variant": 1,
        "model": "black-forest-labs/flux-schnell",
        "prompt_text": "a cover",
        "inputs_json": "{}",
        "run_id": "run",
        "worker_id": "worker",
        "state": "delivered",
        "prediction_id": f"prediction-{intent_id}",
        "reserved_microusd": 0,
        "charged_microusd": 3_000,
        "price_source": "pricing page, 2026-10",
        "billed": "billed",
        "created_at": NOW,
        "completed_at": NOW,
        "updated_at": NOW,
    }
    return intents, row | changes


def clip(clip_id: str, intent_id: str, **changes: object) -> Row:
    """The current clip that an intent of :func:`intent` delivered, but for the changes."""
    row = {
        "clip_id": clip_id,
        "kind": "image",
        "prompt_id": "cover",
        "collection": "kit",
        "variant": 1,
        "model": "black-forest-labs/flux-schnell",
        "generation_hash": f"hash-{intent_id}",
        "intent_id": intent_id,
        "prediction_id": f"prediction-{intent_id}",
        "run_id": "run",
        "object_key": "image/ab/ab.webp",
        "object_uri": "file:///clips/image/ab/ab.webp",
        "sha256": "ab" * 32,
        "bytes": 1234,
        "mime": "image/webp",
        "width": 64,
        "height": 32,
        "cost_microusd": 3_000,
        "created_at": NOW,
    }
    return clips, row | changes


def budget(name: str, **changes: object) -> Row:
    """A budget with a cap of 10 dollars, but for the changes."""
    row = {
        "budget": name,
        "period": "all",
        "cap_microusd": 10_000_000,
        "charged_microusd": 0,
        "reserved_microusd": 0,
        "created_at": NOW,
    }
    return budgets, row | changes


def entry(budget_name: str, amount: int, **changes: object) -> Row:
    """A movement in a budget."""
    row = {"budget": budget_name, "type": "adjust", "amount_microusd": amount, "created_at": NOW}
    return entries, row | changes


def parent(child_uri: str) -> Row:
    """A file's descent from the prompt ``cover``."""
    return lineage, {
        "child_uri": child_uri,
        "child_sha256": "ab" * 32,
        "parent_type": "prompt",
        "parent_id": "image:cover",
        "relation": "generated_from",
        "run_id": "run",
        "created_at": NOW,
    }


def prompt(prompt_id: str = "cover", tags: tuple[str, ...] = ()) -> Prompt:
    """A usable image prompt."""
    return Prompt(
        kind=Kind.IMAGE,
        prompt_id=prompt_id,
        collection="kit",
        text="a cover",
        style="",
        model="black-forest-labs/flux-schnell",
        variants=2,
        inputs={},
        tags=tags,
        reference=None,
        reference_sha256=None,
        path="images/kit.yaml",
    )
