"""The caps on what may be paid, as a Dagster resource."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

import dagster as dg
from pydantic import Field

from asset_pipeline.errors import ConfigurationError
from asset_pipeline.ledger.budgets import CapsSource
from asset_pipeline.ledger.configurations import Configurations
from asset_pipeline.settings import Settings

_OTHERWISE = "Without one, the environment or budgets.yaml decides."


class BudgetResource(dg.ConfigurableResource):  # pyright: ignore[reportMissingTypeArgument]
    """The caps that each reservation is held against, in US dollars.

    They come from ``budgets.yaml`` in the config folder, over it the ``ASSET_PIPELINE_BUDGET_*``
    variables, and over these the fields here. Amounts are text such as ``"12.50"``, since floats
    are no money. The file is read anew at each reservation.
    """

    total_usd: str | None = Field(
        default=None, description=f"Cap of everything ever spent. {_OTHERWISE}"
    )
    daily_usd: str | None = Field(default=None, description=f"Cap of one UTC day. {_OTHERWISE}")
    run_usd: str | None = Field(default=None, description=f"Cap of one Dagster run. {_OTHERWISE}")

    def caps(self, settings: Settings, memory: Configurations) -> CapsSource:
        """Return the caps in force, which are read again when their file moved.

        Args:
            settings: The folder, and the variables that go over the file.
            memory: Knows whether a missing file was in force before.

        Raises:
            ConfigurationError: A field is no amount.
        """
        given = {
            "total_usd": self.total_usd,
            "daily_usd": self.daily_usd,
            "run_usd": self.run_usd,
        }
        own = {name: _amount(name, text) for name, text in given.items() if text is not None}
        return CapsSource(settings, memory, own)


def _amount(name: str, text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0:
        raise ConfigurationError(
            f"The resource `budget` has {name}: {text!r}, which is no amount.",
            hint='Write US dollars as text, such as "12.50".',
        )
    return amount
