"""Amounts of money as people type them."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.money import MicroUsd, micro_usd

_MICRO_DIGITS = 6

# A thousand times more would not fit the ledger's columns.
_MOST_USD = 1_000_000_000


def read_amount(flag: str, text: str) -> MicroUsd:
    """Read an amount of US dollars, with or without the sign.

    Args:
        flag: Where it was given, for the error.
        text: Such as ``2.50``.

    Raises:
        AssetPipelineError: It is none, or has parts of a micro-dollar.
    """
    try:
        amount = Decimal(text.removeprefix("$"))
        if 0 <= amount <= _MOST_USD and amount == round(amount, _MICRO_DIGITS):
            return micro_usd(amount)
    except InvalidOperation:
        pass
    raise AssetPipelineError(
        f"{flag}: {text!r} is not an amount in US dollars.", hint="Write it as 2.50."
    )
