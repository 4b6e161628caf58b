"""The Dagster resources that commands use without a run.

With them comes Dagster, two seconds of imports: they are imported when they are asked for, here and
nowhere else, so that `--help` of their commands does not wait.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from asset_pipeline.catalog.kind import Kind
    from asset_pipeline.defs.gone_prompts import GonePrompts
    from asset_pipeline.defs.lost_clips import LostPrompts
    from asset_pipeline.defs.resources.custody import CustodyResource
    from asset_pipeline.defs.resources.maintenance import MaintenanceResource
    from asset_pipeline.defs.resources.store import StoreResource
    from asset_pipeline.prompts.library import Library
    from asset_pipeline.prompts.spec import Prompt
    from asset_pipeline.prompts.states import PromptStates


def custody() -> CustodyResource:
    """Return what checks, deletes and exports stored clips."""
    from asset_pipeline.definitions import default_resources  # noqa: PLC0415 -- Dagster, as below

    return cast("CustodyResource", default_resources()["custody"])


def maintenance() -> MaintenanceResource:
    """Return what resumes open intents and audits what was spent."""
    from asset_pipeline.definitions import default_resources  # noqa: PLC0415

    return cast("MaintenanceResource", default_resources()["maintenance"])


def store() -> StoreResource:
    """Return the configured store."""
    from asset_pipeline.defs.resources.store import StoreResource  # noqa: PLC0415

    return StoreResource()


def show_lost(lost: LostPrompts) -> None:
    """Let Dagster show the prompts whose clips are lost as failed.

    Raises:
        ConfigurationError: The instance can't be opened.
    """
    from asset_pipeline.defs import lost_clips  # noqa: PLC0415
    from asset_pipeline.defs.instance.access import open_instance  # noqa: PLC0415

    with open_instance() as instance:
        lost_clips.show_lost(instance, lost)


def states_of(prompts: Iterable[Prompt], engine: Engine) -> PromptStates:
    """Return how prompts stand by Dagster and the ledger together.

    Raises:
        ConfigurationError: The instance can't be opened.
    """
    from asset_pipeline.defs.instance.access import open_instance  # noqa: PLC0415
    from asset_pipeline.defs.prompt_states import standing_of  # noqa: PLC0415

    with open_instance() as instance:
        return standing_of(instance, prompts, engine)


def gone_prompts(library: Library, kinds: Iterable[Kind]) -> list[GonePrompts]:
    """Return the partitions of some kinds that have no prompt any more.

    Raises:
        ConfigurationError: The instance can't be opened.
    """
    from asset_pipeline.defs.gone_prompts import find_gone  # noqa: PLC0415
    from asset_pipeline.defs.instance.access import open_instance  # noqa: PLC0415

    with open_instance() as instance:
        return [find_gone(instance, kind, library) for kind in kinds]


def forget_prompts(gone: Iterable[GonePrompts]) -> None:
    """Delete the partitions of prompts that are gone.

    Raises:
        ConfigurationError: The instance can't be opened.
    """
    from asset_pipeline.defs.gone_prompts import forget  # noqa: PLC0415
    from asset_pipeline.defs.instance.access import open_instance  # noqa: PLC0415

    with open_instance() as instance:
        for each in gone:
            forget(instance, each.kind, each.ids)
