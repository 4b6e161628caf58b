"""Warning thresholds of budgets, as shares of their caps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from asset_pipeline.ledger.budget_scopes import is_of_run
from asset_pipeline.ledger.records import BudgetBalance
from asset_pipeline.money import MicroUsd, format_usd


@dataclass(frozen=True, slots=True)
class Passed:
    """A budget that has passed a threshold.

    Attributes:
        percent: The highest threshold that it has passed now.
    """

    balance: BudgetBalance
    percent: int

    def __str__(self) -> str:
        """Say how much of the cap is used and left."""
        one = self.balance
        # A run's id says nothing to anybody.
        name = "The run's own cap" if is_of_run(one.budget) else f"Budget {one.budget!r}"
        return (
            f"{name} has passed {self.percent} %: {format_usd(_used(one))} of "
            f"{format_usd(one.cap)} is used, {format_usd(one.headroom)} is left."
        )


def used_percent(balance: BudgetBalance) -> int:
    """Return how much of a cap is charged or reserved, in whole percent, rounded down.

    A cap of nothing is used up.
    """
    return _used(balance) * 100 // balance.cap if balance.cap else 100


def reached(balance: BudgetBalance, percents: Iterable[int]) -> int | None:
    """Return the highest of the thresholds that a budget has reached, if any."""
    used = used_percent(balance)
    return max((percent for percent in percents if used >= percent), default=None)


def newly_passed(
    before: Iterable[BudgetBalance], after: Iterable[BudgetBalance], percents: Sequence[int]
) -> Iterator[Passed]:
    """Yield the budgets that have passed a threshold between two moments, each once."""
    earlier = {one.budget: reached(one, percents) for one in before}
    for one in after:
        now, then = reached(one, percents), earlier.get(one.budget)
        if now is not None and (then is None or now > then):
            yield Passed(one, now)


def _used(balance: BudgetBalance) -> MicroUsd:
    return MicroUsd(balance.charged + balance.reserved)
