"""The whole prompt library: the files', and what came over HTTP and lies in the ledger.

It imports no Dagster: commands use it too.
"""

from __future__ import annotations

from sqlalchemy import Engine

from asset_pipeline.catalog.reader import Catalog
from asset_pipeline.clock import SystemClock
from asset_pipeline.ledger.provider_ledger import open_own_engine
from asset_pipeline.ledger.submitted import SubmittedPrompts
from asset_pipeline.prompts.library import Library
from asset_pipeline.prompts.submitted import KeptPrompts, Uploads, with_submitted
from asset_pipeline.settings import Settings

_KEPT = KeptPrompts()


def with_ledgers(library: Library, catalog: Catalog, settings: Settings) -> Library:
    """Return the library with what the ledger adds to it; without a ledger there is nothing.

    Raises:
        AssetPipelineError: The ledger can't be read.
    """
    if settings.has_no_ledger_yet:
        return library
    engine = open_own_engine(settings)
    try:
        return with_engines(library, catalog, settings, engine)
    finally:
        engine.dispose()


def with_engines(library: Library, catalog: Catalog, settings: Settings, engine: Engine) -> Library:
    """Do as :func:`with_ledgers` with a ledger that is open already."""
    found = SubmittedPrompts(engine, SystemClock()).all()
    if not found.prompts and not found.takes:
        return library
    return with_submitted(
        library,
        found.prompts,
        found.takes,
        catalog,
        settings.prompts_dir,
        Uploads(settings.uploads_dir, found.files),
        kept=_KEPT,
    )
