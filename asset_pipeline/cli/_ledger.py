"""The ledger, its caps and its published copy, opened for commands that read them."""

from __future__ import annotations

import contextlib
import getpass
import socket
from collections.abc import Generator, Iterable

from asset_pipeline.cli._context import open_context
from asset_pipeline.clock import SystemClock
from asset_pipeline.ledger.budgets import BudgetCaps, CapsSource
from asset_pipeline.ledger.configurations import Configurations, Recalled
from asset_pipeline.ledger.custody import CustodyRepository
from asset_pipeline.ledger.ledger import Ledger
from asset_pipeline.ledger.provider_ledger import open_own_engine
from asset_pipeline.ledger.records import Clip
from asset_pipeline.ledger.reports import LedgerReader
from asset_pipeline.prompts.spec import Prompt
from asset_pipeline.settings import Settings, load_settings
from asset_pipeline.warehouse import publication
from asset_pipeline.warehouse.publication import show_own


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


@contextlib.contextmanager
def open_custody() -> Generator[CustodyRepository]:
    """Yield what the ledger knows of stored clips: approvals, deletions, losses.

    Raises:
        AssetPipelineError: It cannot be opened, or its folder cannot be written.
    """
    custody = CustodyRepository(open_own_engine(load_settings()), SystemClock())
    try:
        yield custody
    finally:
        custody.close()


def clip_fields(clip: Clip) -> dict[str, object]:
    """Return which clip one is, for machines."""
    return {
        "clip_id": clip.clip_id,
        "kind": clip.kind,
        "prompt_id": clip.prompt_id,
        "variant": clip.variant,
    }


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
    publication.publish_if_older(
        ledger.engine,
        _library_prompts,
        settings,
        clock=SystemClock(),
    )


def _library_prompts() -> Iterable[Prompt]:
    return open_context().library.prompts.values()


def actor() -> str:
    """Return ``user@host``; a user without a name in this system is its number's bearer."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
