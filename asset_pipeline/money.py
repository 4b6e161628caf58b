"""Money as integer micro-dollars: one US dollar is 1,000,000 of them, and no float ever."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal, InvalidOperation
from typing import NewType

MicroUsd = NewType("MicroUsd", int)

MICRO_PER_USD = 1_000_000


def micro_usd(amount: Decimal | int | str) -> MicroUsd:
    """Convert an amount in US dollars to micro-dollars, rounding half up.

    Args:
        amount: US dollars as Decimal, int or decimal string such as ``"0.003"``.

    Raises:
        ValueError: The amount is no finite decimal number.
    """
    return _convert(amount, ROUND_HALF_UP)


def micro_usd_ceiling(amount: Decimal | int | str) -> MicroUsd:
    """Like :func:`micro_usd`, rounding up: a worst case must never be a fraction too low."""
    return _convert(amount, ROUND_CEILING)


def to_decimal(amount: MicroUsd | int) -> Decimal:
    """Return micro-dollars as US dollars with six decimals, as the warehouse stores them."""
    return Decimal(amount).scaleb(-6).quantize(Decimal("0.000001"))


def format_usd(amount: MicroUsd | int) -> str:
    """Return micro-dollars for people: ``$1.50``, ``$0.003``, ``-$0.02``; at least two decimals."""
    sign = "-" if amount < 0 else ""
    dollars, micros = divmod(abs(amount), MICRO_PER_USD)
    fraction = f"{micros:06d}".rstrip("0").ljust(2, "0")
    return f"{sign}${dollars:,}.{fraction}"


def _convert(amount: Decimal | int | str, rounding: str) -> MicroUsd:
    try:
        value = Decimal(amount)
        scaled = (value * MICRO_PER_USD).quantize(Decimal(1), rounding=rounding)
    except InvalidOperation as error:
        raise ValueError(f"{amount!r} is not an amount in US dollars") from error
    return MicroUsd(int(scaled))
