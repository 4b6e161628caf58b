"""The prompts that a command works on, and how they stand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from asset_pipeline.catalog.reader import Catalog, load_catalog
from asset_pipeline.cli import _resources as resources
from asset_pipeline.cli._output import say, stderr
from asset_pipeline.defs.instance.home import dagster_home
from asset_pipeline.prompts.library import Library, load_library
from asset_pipeline.prompts.spec import Prompt
from asset_pipeline.prompts.states import PromptStates
from asset_pipeline.settings import Settings, load_settings

if TYPE_CHECKING:
    from asset_pipeline.ledger.reports import LedgerReader

_PROBLEMS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class CliContext:
    """The settings, and the prompts and models they point to."""

    settings: Settings
    catalog: Catalog
    library: Library


def open_context() -> CliContext:
    """Read settings, catalog and prompts.

    Raises:
        AssetPipelineError: One of them cannot be read.
    """
    settings = load_settings()
    catalog = load_catalog(settings.config_dir)
    files = load_library(settings.prompts_dir, catalog)
    if settings.has_no_ledger_yet:
        return CliContext(settings, catalog, files)
    # SQLAlchemy takes a third of a second to import: a project without a ledger does without it.
    from asset_pipeline.defs.resources.submitted import with_ledgers  # noqa: PLC0415

    return CliContext(settings, catalog, with_ledgers(files, catalog, settings))


def states_of(prompts: Iterable[Prompt], ledger: LedgerReader) -> PromptStates:
    """Return how prompts stand; before Dagster's folder exists, all of them are missing."""
    if not dagster_home().is_dir():
        return PromptStates()
    return resources.states_of(prompts, ledger.engine)


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
