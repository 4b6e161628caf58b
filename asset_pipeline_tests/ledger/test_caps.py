"""Caps from budgets.yaml and the environment, read again when the file changes."""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path

import pytest

from asset_pipeline.errors import ConfigurationError
from asset_pipeline.ledger.caps import BUDGETS_FILE, BudgetCaps, CapsSource, budget_lines
from asset_pipeline.money import MicroUsd
from asset_pipeline.settings import load_settings
from asset_pipeline_tests.ledger.books import day


@pytest.fixture
def budgets_file(clean_environment: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the caps are read from; not there yet."""
    monkeypatch.setenv("ASSET_PIPELINE_CONFIG_DIR", str(clean_environment))
    return clean_environment / BUDGETS_FILE


def _caps() -> BudgetCaps:
    return CapsSource(load_settings()).current()


@pytest.mark.usefixtures("budgets_file")
def test_without_a_file_the_defaults_are_harmless() -> None:
    """A first run can't cost more than a modest sum a day."""
    assert (_caps().total_usd, _caps().daily_usd, _caps().run_usd) == (100, 25, None)


def test_the_file_is_read_as_decimals(budgets_file: Path) -> None:
    """A tenth of a dollar is a tenth, not the float next to it; empty lifts a cap."""
    budgets_file.write_text(
        "total_usd: 0.1\ndaily_usd:\nmonthly_usd: none\nrun_usd: 1e1\n"
        "collections_usd: {kit: 2.50}\nwarn_at_percent: [75]\n"
    )
    caps = _caps()
    assert caps.total_usd == Decimal("0.1")
    assert (caps.daily_usd, caps.monthly_usd, caps.run_usd) == (None, None, 10)
    assert caps.collections_usd == {"kit": Decimal("2.50")}
    assert caps.warn_at_percent == (75,)


def test_the_environment_goes_over_the_file(
    budgets_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable overrides its field and leaves the others."""
    budgets_file.write_text("total_usd: 5\nmonthly_usd: 4\n")
    monkeypatch.setenv("ASSET_PIPELINE_BUDGET_TOTAL_USD", "7.5")
    monkeypatch.setenv("ASSET_PIPELINE_BUDGET_DAILY_USD", "0")
    monkeypatch.setenv("ASSET_PIPELINE_BUDGET_RUN_USD", "2")
    caps = _caps()
    assert (caps.total_usd, caps.daily_usd, caps.run_usd) == (Decimal("7.5"), 0, 2)
    assert caps.monthly_usd == 4


def test_an_edit_is_picked_up_and_a_broken_one_pays_nothing(budgets_file: Path) -> None:
    """A file that came, changed, broke, was mended and went: the caps follow each time."""
    source = CapsSource(load_settings())
    assert source.current().total_usd == 100
    budgets_file.write_text("total_usd: 5\n")
    assert source.current().total_usd == 5
    budgets_file.write_text("total_usd: 6\n")
    os.utime(budgets_file, ns=(1, 1))  # the same length, another time
    assert source.current().total_usd == 6
    budgets_file.write_text("total_usd: [\n")
    for _ in range(2):
        with pytest.raises(ConfigurationError):
            source.current()
    budgets_file.write_text("total_usd: 7\n")
    assert source.current().total_usd == 7
    budgets_file.unlink()
    assert source.current().total_usd == 100


@pytest.mark.parametrize(
    "content",
    [
        "total_usd: -1",
        "total_usd: lots",
        "total_usd: nan",
        "total_usd: .inf",
        "total_usd: 1e30",
        "total_usd:",
        "totalusd: 5",
        "daily_usd: [1]",
        "collections_usd: {kit: -1}",
        "collections_usd: {kit: 99999999999999}",
        "- total_usd",
        "total_usd: {",
        "\ttotal_usd: 5",
    ],
)
def test_a_wrong_file_is_a_sentence(budgets_file: Path, content: str) -> None:
    """What is wrong and in which file; never a cap that was not meant."""
    budgets_file.write_text(content)
    with pytest.raises(ConfigurationError) as caught:
        _caps()
    assert str(budgets_file) in str(caught.value)


def test_bytes_that_are_no_text_are_a_sentence(budgets_file: Path) -> None:
    """A file in another encoding is named, not guessed at."""
    budgets_file.write_bytes(b"total_usd: \xff\xfe")
    with pytest.raises(ConfigurationError, match=BUDGETS_FILE):
        _caps()


def test_lines_come_in_one_order_and_only_where_a_cap_is() -> None:
    """The total, then by name, so that two transactions never wait for each other crosswise."""
    caps = BudgetCaps(
        total_usd=Decimal(1),
        daily_usd=Decimal(2),
        monthly_usd=Decimal(3),
        run_usd=Decimal(4),
        collections_usd={"kit": Decimal(5)},
    )
    lines = budget_lines(caps, collection="kit", run_id="r", now=day(21), run_cap=MicroUsd(6))
    assert [line.budget for line in lines] == [
        "total",
        "collection:kit",
        "daily:2026-11-21",
        "monthly:2026-11",
        "run:r",
    ]
    assert lines[-1].cap == 6
    bare = budget_lines(
        BudgetCaps(daily_usd=None, collections_usd={"other": Decimal(1)}),
        collection="kit",
        run_id="r",
        now=day(21),
    )
    assert [line.budget for line in bare] == ["total"]
