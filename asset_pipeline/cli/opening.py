"""Opening what commands work on, each thing as light as it can be had."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable
from dataclasses import dataclass

from asset_pipeline.catalog.reader import Catalog, load_catalog
from asset_pipeline.cli.choosing import PromptStates
from asset_pipeline.cli.console import say, stderr
from asset_pipeline.cli.home import dagster_home
from asset_pipeline.clock import SystemClock
from asset_pipeline.ledger.caps import BudgetCaps, CapsSource
from asset_pipeline.ledger.engine import open_engine
from asset_pipeline.ledger.reading import LedgerReader
from asset_pipeline.prompts.library import Library, load_library
from asset_pipeline.prompts.spec import Prompt
from asset_pipeline.settings import Settings, load_settings

_PROBLEMS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Workshop:
    """The settings, and the prompts and models they point to."""

    settings: Settings
    catalog: Catalog
    library: Library


def open_workshop() -> Workshop:
    """Read settings, catalog and prompts.

    Raises:
        AssetPipelineError: One of them cannot be read.
    """
    settings = load_settings()
    catalog = load_catalog(settings.config_dir)
    return Workshop(settings, catalog, load_library(settings.prompts_dir, catalog))


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


def read_caps(settings: Settings) -> BudgetCaps:
    """Return the caps in force.

    Raises:
        ConfigurationError: ``budgets.yaml`` is wrong.
    """
    return CapsSource(settings).current()


def states_of(prompts: Iterable[Prompt]) -> PromptStates:
    """Return how prompts stand in Dagster; before its folder exists, all of them are missing."""
    if not dagster_home().is_dir():
        return PromptStates()
    # Dagster takes a second and a half to import, and only states are asked of it.
    from asset_pipeline.cli.instance import open_instance, read_states  # noqa: PLC0415

    with open_instance() as instance:
        return read_states(instance, prompts)


def publish_if_older(workshop: Workshop, ledger: LedgerReader) -> bool:
    """Publish the warehouse when it is missing or the ledger changed since.

    Returns:
        Whether it was published.

    Raises:
        AssetPipelineError: It cannot be written.
    """
    target = workshop.settings.warehouse_path
    changed = ledger.last_change()
    with contextlib.suppress(FileNotFoundError):
        published = target.stat().st_mtime
        if changed is None or changed.timestamp() < published:
            return False
    # DuckDB and Arrow are needed only to write the file.
    from asset_pipeline.warehouse.publish import publish  # noqa: PLC0415

    publish(ledger.engine, workshop.library.prompts.values(), target, clock=SystemClock())
    return True


def show_problems(library: Library) -> None:
    """Print what is wrong in the prompt files, to stderr; the good prompts go on without them."""
    if not library.problems:
        return
    console = stderr()
    for problem in library.problems[:_PROBLEMS_SHOWN]:
        say(console, problem, "yellow")
    more = len(library.problems) - _PROBLEMS_SHOWN
    if more > 0:
        say(console, f"... and {more:,} more: `asset-pipeline prompts validate` lists them all.")
