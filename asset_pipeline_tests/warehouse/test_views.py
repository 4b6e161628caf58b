from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from asset_pipeline.warehouse import publish
from asset_pipeline.warehouse.query import query
from asset_pipeline_tests.support import ledger_rows
from asset_pipeline_tests.warehouse.test_publish import VIEWS, published

DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four attempts of one kit: delivered after a charged failure, waiting, refused, reused."""
    failed = {
        "generation_hash": "hash-b",
        "state": "failed",
        "error_class": "nsfw",
        "error": "NSFW content detected",
        "charged_microusd": 40_000,
        "completed_at": ledger_rows.NOW - DAY,
    }
    refused = {
        "state": "refused",
        "prompt_id": "other",
        "charged_microusd": 0,
        "prediction_id": None,
        "completed_at": None,
    }
    audio = {"kind": "audio", "prompt_id": "intro", "model": "jaaari/kokoro-82m"}
    return published(
        tmp_path_factory.mktemp("ledger"),
        ledger_rows.intent("a", **failed),
        ledger_rows.intent("b", attempt=2),
        ledger_rows.clip("old", "b", superseded_at=ledger_rows.NOW),
        ledger_rows.clip("new", "b"),
        ledger_rows.clip("reused", "b", prompt_id="twin", cost_microusd=0),
        ledger_rows.intent("c", state="completed", charged_microusd=1, **audio),
        ledger_rows.intent("d", **refused),
        ledger_rows.budget("total", charged_microusd=7_500_000, reserved_microusd=500_000),
        ledger_rows.budget("full", cap_microusd=1_000_000, charged_microusd=1_000_000),
        ledger_rows.budget(
            "over", cap_microusd=3, charged_microusd=4, reserved_microusd=1, overdrawn_microusd=2
        ),
        ledger_rows.budget("none", cap_microusd=0),
        ledger_rows.budget("fresh"),
    )


def rows(path: Path, sql: str) -> list[tuple[Any, ...]]:
    """The rows of a query."""
    return query(path, sql)[1]


def test_spend_by_day(path: Path) -> None:
    """A day has what was charged on it in UTC, by kind; days without a charge have no row."""
    today = ledger_rows.NOW.date()
    assert rows(path, "FROM spend_by_day") == [
        (today - DAY, "image", 1, 0, Decimal("0.04")),
        (today, "audio", 1, 0, Decimal("0.000001")),
        (today, "image", 1, 1, Decimal("0.003")),
    ]


def test_spend_by_model(path: Path) -> None:
    """A model's failures are counted, and paid for by the clips that arrived."""
    assert rows(path, "FROM spend_by_model") == [
        ("image", "black-forest-labs/flux-schnell", 3, 1, 2, Decimal("0.043"), Decimal("0.043")),
        ("audio", "jaaari/kokoro-82m", 1, 0, 0, Decimal("0.000001"), None),
    ]


def test_spend_by_collection(path: Path) -> None:
    """A collection's spend is that of its prompts when they were paid."""
    assert rows(path, "FROM spend_by_collection") == [
        ("kit", "image", 2, 3, 1, Decimal("0.043")),
        ("kit", "audio", 1, 1, 0, Decimal("0.000001")),
    ]


def test_cost_per_clip(path: Path) -> None:
    """A current clip shows its own cost and that of all its attempts; a reused one shows none."""
    assert rows(
        path, "SELECT clip_id, cost_usd, attempts, all_attempts_usd FROM cost_per_clip"
    ) == [
        ("new", Decimal("0.003"), 2, Decimal("0.043")),
        ("reused", Decimal(0), 0, Decimal(0)),
    ]


def test_failures(path: Path) -> None:
    """A failure says whether a clip came after all."""
    assert rows(path, "SELECT intent_id, state, error_class, made_up_for FROM failures") == [
        ("d", "refused", None, False),
        ("a", "failed", "nsfw", True),
    ]


def test_wasted_spend(path: Path) -> None:
    """Charged without a clip is wasted; charged and still to be fetched is not."""
    assert rows(path, "SELECT intent_id, charged_usd FROM wasted_spend") == [("a", Decimal("0.04"))]


def test_budget_status(path: Path) -> None:
    """Budgets come fullest first, with a word for how full they are."""
    assert rows(path, "SELECT budget, headroom_usd, used_percent, status FROM budget_status") == [
        ("none", Decimal(0), None, "exhausted"),
        ("over", Decimal(0), Decimal("166.7"), "overdrawn"),
        ("full", Decimal(0), Decimal("100.0"), "exhausted"),
        ("total", Decimal(2), Decimal("80.0"), "low"),
        ("fresh", Decimal(10), Decimal("0.0"), "ok"),
    ]


def test_each_view_says_what_a_row_means() -> None:
    """A view's file is named as the view and begins with what one row of it is."""
    files = list((Path(publish.__file__).parent / "queries").glob("*.sql"))
    assert {file.stem for file in files} == VIEWS
    assert all(file.read_text().startswith("-- One row a") for file in files)


def test_what_an_approved_clip_has_cost(tmp_path: Path) -> None:
    """All that was spent counts for the one that was approved; the reason of a no is told."""
    path = published(
        tmp_path,
        ledger_rows.intent("a", charged_microusd=40_000),
        ledger_rows.intent("b", charged_microusd=40_000, prompt_id="other"),
        ledger_rows.clip("yes", "a", review_state="approved"),
        ledger_rows.clip("no", "b", prompt_id="other", review_state="rejected"),
    )
    names, (row,) = query(path, "FROM cost_per_approved_clip")
    found = dict(zip(names, row, strict=True))
    assert (found["approved"], found["rejected"]) == (1, 1)
    assert found["usd_per_approved_clip"] == Decimal("0.080000")
    names, (row,) = query(path, "FROM rejections_by_model")
    found = dict(zip(names, row, strict=True))
    assert (found["rejected"], found["judged"], found["rejection_rate"]) == (1, 2, 0.5)
