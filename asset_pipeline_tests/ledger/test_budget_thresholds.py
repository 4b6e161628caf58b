"""Budgets speak up once when a share of their cap is used."""

from __future__ import annotations

from asset_pipeline.ledger.budget_thresholds import newly_passed, reached, used_percent
from asset_pipeline.ledger.records import BudgetBalance
from asset_pipeline.money import MicroUsd


def _budget(name: str, cap: int, charged: int, reserved: int = 0) -> BudgetBalance:
    return BudgetBalance(name, "all", MicroUsd(cap), MicroUsd(charged), MicroUsd(reserved))


def test_reserved_money_is_used_money() -> None:
    """What may be owed counts as much as what is."""
    assert used_percent(_budget("total", 1000, 300, 299)) == 59
    assert reached(_budget("total", 1000, 300, 200), (50, 80)) == 50
    assert reached(_budget("total", 1000, 300, 199), (50, 80)) is None


def test_a_budget_of_nothing_is_used_up() -> None:
    """A cap of zero has passed every threshold."""
    assert reached(_budget("daily:2026-11-21", 0, 0), (50, 80)) == 80


def test_a_threshold_is_told_when_it_is_passed() -> None:
    """The highest new one, once; what was passed before is old news, a new budget is not."""
    before = [_budget("a", 1000, 400), _budget("b", 1000, 600), _budget("c", 1000, 600)]
    after = [
        _budget("a", 1000, 900),
        _budget("b", 1000, 700),
        _budget("c", 1000, 800),
        _budget("d", 1000, 500),
    ]
    told = list(newly_passed(before, after, (50, 80)))
    assert [(each.balance.budget, each.percent) for each in told] == [
        ("a", 80),
        ("c", 80),
        ("d", 50),
    ]
    assert list(newly_passed(after, after, (50, 80))) == []


def test_the_sentence_names_what_is_left() -> None:
    """Budget, share, use, cap and headroom."""
    (told,) = newly_passed([], [_budget("total", 10_000_000, 8_000_000, 300_000)], (50, 80))
    assert str(told) == ("Budget 'total' has passed 80 %: $8.30 of $10.00 is used, $1.70 is left.")
