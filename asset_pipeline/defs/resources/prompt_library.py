"""The prompt library and the model catalog as a Dagster resource."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from asset_pipeline.catalog.reader import Catalog, load_catalog
from asset_pipeline.defs.resources.submitted import with_ledgers
from asset_pipeline.prompts.file_cache import KeptFiles
from asset_pipeline.prompts.library import Library, load_library
from asset_pipeline.settings import load_settings

# Dagster makes the resource anew for every tick; what was read has to outlive that. The code
# server evaluates ticks in threads.
_KEPT = KeptFiles()
_READING = threading.Lock()


@dataclass(frozen=True, slots=True)
class Prompts:
    """What is to be made, and with which models."""

    catalog: Catalog
    library: Library
    folder: Path


class PromptLibraryResource(dg.ConfigurableResource):  # pyright: ignore[reportMissingTypeArgument]
    """Reads ``ASSET_PIPELINE_PROMPTS_DIR`` and the models of ``ASSET_PIPELINE_CONFIG_DIR``.

    A process that asks again reads only the files that changed. Prompts that came over HTTP lie in
    the ledger and follow those of the files.
    """

    def load(self) -> Prompts:
        """Read all collections as they are now; what is wrong with some is in the library."""
        settings = load_settings()
        catalog = load_catalog(settings.config_dir)
        with _READING:
            library = load_library(settings.prompts_dir, catalog, kept=_KEPT)
        library = with_ledgers(library, catalog, settings)
        return Prompts(catalog, library, settings.prompts_dir)
