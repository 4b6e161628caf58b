"""The ledger, its caps and its published copy, opened for commands that read them."""

from __future__ import annotations

import contextlib
from collections.abc import Generator

from asset_pipeline.cli.opening import open_workshop
from asset_pipeline.clock import SystemClock
from asset_pipeline.ledger.caps import BudgetCaps, CapsSource
from asset_pipeline.ledger.configurations import Configurations, Recalled
from asset_pipeline.ledger.engine import open_engine
from asset_pipeline.ledger.ledger import Ledger
from asset_pipeline.ledger.reading import LedgerReader
from asset_pipeline.settings import Settings


@contextlib.contextmanager
def open_ledger(settings: Settings) -> Generator[LedgerReader]:
    """Yield the ledger for reading.

    Raises:
        AssetPipelineError: It cannot be opened, or its folder cannot be written.
    """
    engine = open_engine(settings.ledger_url)
    try:
        yield LedgerReader(engine)
    finally:
        engine.dispose()


@contextlib.contextmanager
def open_whole_ledger(settings: Settings) -> Generator[Ledger]:
    """Yield the ledger for commands that decide about money.

    Raises:
        AssetPipelineError: It cannot be opened, or its folder cannot be written.
    """
    engine, clock = open_engine(settings.ledger_url), SystemClock()
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
    """Publish the warehouse when it is missing or the ledger changed since.

    Raises:
        AssetPipelineError: It cannot be written, or the prompts not be read.
    """
    changed = ledger.last_change()
    with contextlib.suppress(FileNotFoundError):
        published = settings.warehouse_path.stat().st_mtime
        if changed is None or changed.timestamp() < published:
            return
    # DuckDB's file is written here alone; mostly it is up to date.
    from asset_pipeline.warehouse.publish import publish  # noqa: PLC0415

    prompts = open_workshop().library.prompts.values()
    publish(ledger.engine, prompts, settings.warehouse_path, clock=SystemClock())
