"""The ledger and its budgets as a Dagster resource."""

from __future__ import annotations

import contextlib
from collections.abc import Generator

import dagster as dg

from asset_pipeline.clock import SystemClock
from asset_pipeline.defs.resources.budget import BudgetResource
from asset_pipeline.ledger.configurations import Configurations
from asset_pipeline.ledger.ledger import Ledger
from asset_pipeline.ledger.provider_ledger import open_own_engine
from asset_pipeline.settings import load_settings


class LedgerResource(dg.ConfigurableResource):  # pyright: ignore[reportMissingTypeArgument]
    """Opens the ledger at ``ASSET_PIPELINE_LEDGER_URL``; SQLite in the data folder by default.

    Its URL may hold a password, so that it is no field: the environment alone names it.
    """

    @contextlib.contextmanager
    def open(self, budget: BudgetResource | None = None) -> Generator[Ledger]:
        """Yield the ledger and give its connections back afterwards.

        Args:
            budget: Caps that go over those of ``budgets.yaml`` and the environment.
        """
        settings = load_settings()
        engine, clock = open_own_engine(settings), SystemClock()
        caps = (budget or BudgetResource()).caps(settings, Configurations(engine, clock))
        ledger = Ledger(engine, clock, caps.current)
        try:
            yield ledger
        finally:
            ledger.close()
