"""The ledger, its caps and its published copy, opened for commands that read them."""

from __future__ import annotations

import contextlib
from collections.abc import Generator

from asset_pipeline.cli._context import open_context
from asset_pipeline.clock import SystemClock
from asset_pipeline.ledger.budgets import BudgetCaps, CapsSource
from asset_pipeline.ledger.configurations import Configurations, Recalled
from asset_pipeline.ledger.ledger import Ledger
from asset_pipeline.ledger.provider_ledger import open_own_engine
from asset_pipeline.ledger.reports import LedgerReader
from asset_pipeline.settings import Settings
from asset_pipeline.warehouse.publication import publish_own, show_own
from asset_pipeline.warehouse.publish import published_mark


@contextlib.contextmanager
def open_ledger(settings: Settings) -> Generator[LedgerReader]:
    """Yield the ledger for reading, and show what its provider has published.

    Raises:
        AssetPipelineError: It cannot be opened, or its folder cannot be written.
    """
    engine = open_own_engine(settings)
    try:
        show_own(engine, settings)
        yield LedgerReader(engine)
    finally:
        engine.dispose()


@contextlib.contextmanager
def open_whole_ledger(settings: Settings) -> Generator[Ledger]:
    """Yield the ledger for commands that decide about money.

    Raises:
        AssetPipelineError: It cannot be opened, or its folder cannot be written.
    """
    engine, clock = open_own_engine(settings), SystemClock()
    caps = CapsSource(settings, Configurations(engine, clock))
    ledger = Ledger(engine, clock, caps.current)
    try:
        yield ledger
    finally:
        ledger.close()


def read_caps(settings: Settings, ledger: LedgerReader) -> BudgetCaps:
    """Return the caps in force.

    Raises:
        ConfigurationError: ``budgets.yaml`` is wrong, or was in force for this ledger and is gone.
    """
    return CapsSource(settings, Recalled(ledger.engine, SystemClock())).current()


def publish_if_older(settings: Settings, ledger: LedgerReader) -> None:
    """Publish the warehouse when it is missing or shows another state of the ledger.

    Raises:
        AssetPipelineError: It cannot be written, or the prompts not be read.
    """
    if published_mark(settings.own_warehouse_path) == ledger.mark():
        return
    prompts = open_context().library.prompts.values()
    publish_own(ledger.engine, prompts, settings, clock=SystemClock())
