"""What people look at: the warehouse and the gallery of the provider in use.

Each provider publishes to files of its own, so that a first real run never replaces what the
sandbox made, and going back to the sandbox shows it again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path

from sqlalchemy import Engine, select

from asset_pipeline.clock import Clock
from asset_pipeline.ledger.change_mark import mark_of
from asset_pipeline.ledger.schema import intents
from asset_pipeline.ledger.transactions import transaction
from asset_pipeline.prompts.spec import Prompt
from asset_pipeline.settings import ProviderName, Settings
from asset_pipeline.warehouse.fixed_paths import hand_over, is_undecided, point_to_own
from asset_pipeline.warehouse.publish import PublishReport, publish, published_mark
from asset_pipeline.warehouse.query import WarehouseError, query

_NEWEST = "SELECT intent_id FROM predictions ORDER BY created_at DESC LIMIT 1"


def publish_own(
    engine: Engine, prompts: Iterable[Prompt], settings: Settings, *, clock: Clock
) -> PublishReport:
    """Publish the warehouse of the provider in use, and show it.

    Raises:
        WarehouseError: It can't be written; the published one is as it was.
    """
    show_own(engine, settings)
    report = publish(engine, prompts, settings.own_warehouse_path, clock=clock)
    show_own(engine, settings)
    return report


def publish_if_older(
    engine: Engine, prompts: Callable[[], Iterable[Prompt]], settings: Settings, *, clock: Clock
) -> None:
    """Publish the warehouse when it is missing or shows another state of the ledger.

    Args:
        engine: The ledger.
        prompts: Reads the prompt files; called only when there is something to publish.
        settings: Where the files are.
        clock: For the report's duration.

    Raises:
        AssetPipelineError: It can't be written, or the prompts not be read.
    """
    with transaction(engine, reading=True) as connection:
        mark = mark_of(connection)
    if published_mark(settings.own_warehouse_path) != mark:
        publish_own(engine, prompts(), settings, clock=clock)


def show_own(engine: Engine, settings: Settings) -> None:
    """Point the fixed paths to the files of the provider in use, or remove them.

    Args:
        engine: Its ledger: it tells whose the files are that an earlier release left there.
        settings: The paths.

    Raises:
        OSError: The data folder can't be written.
    """
    if is_undecided(settings):
        hand_over(settings, _owner_of(settings.warehouse_path, engine, settings))
    point_to_own(settings)


def _owner_of(warehouse: Path, engine: Engine, settings: Settings) -> ProviderName:
    """Return the owner of an earlier release's warehouse: whose ledger has its newest row."""
    with contextlib.suppress(WarehouseError):
        newest = query(warehouse, _NEWEST)[1]
        if newest:
            with transaction(engine, reading=True) as connection:
                known = select(intents.c.intent_id).where(intents.c.intent_id == newest[0][0])
                if connection.execute(known).first() is None:
                    return next(each for each in ProviderName if each is not settings.provider)
    return settings.provider
