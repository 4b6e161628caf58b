"""What people look at: the warehouse and the gallery of the provider in use, at fixed paths.

Each provider publishes to files of its own. The fixed path is a link, renamed into its place
whenever a command looks or publishes, so that a first real run never replaces what the sandbox
made, and going back to the sandbox shows it again.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path

from sqlalchemy import Engine, select

from asset_pipeline.clock import Clock
from asset_pipeline.files import atomic_path
from asset_pipeline.ledger.schema import intents
from asset_pipeline.ledger.transactions import transaction
from asset_pipeline.prompts.spec import Prompt
from asset_pipeline.settings import ProviderName, Settings
from asset_pipeline.warehouse.errors import WarehouseError
from asset_pipeline.warehouse.publish import PublishReport, publish
from asset_pipeline.warehouse.reading import query

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


def show_own(engine: Engine, settings: Settings) -> None:
    """Point the fixed paths to what the provider in use has published; to nothing before that.

    Args:
        engine: Its ledger: it tells whose the files are that an earlier release left there.
        settings: The paths.

    Raises:
        OSError: The data folder can't be written.
    """
    shown = {
        settings.warehouse_path: settings.own_warehouse_path,
        settings.gallery_path: settings.own_gallery_path,
    }
    if any(_is_of_an_earlier_release(path) for path in shown):
        _hand_over(list(shown), _owner_of(settings.warehouse_path, engine, settings))
    for path, own in shown.items():
        _show(path, own)


def _show(path: Path, own: Path) -> None:
    if not own.exists():
        path.unlink(missing_ok=True)
    elif not _shows(path, own):
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
        try:
            temporary.symlink_to(own.name)
            temporary.replace(path)
        except OSError:
            # A file system without links: a copy, renamed in likewise.
            temporary.unlink(missing_ok=True)
            with atomic_path(path) as copy:
                shutil.copy2(own, copy)


def _shows(path: Path, own: Path) -> bool:
    if path.is_symlink():
        return path.readlink() == Path(own.name)
    if not path.exists():
        return False
    there, here = path.stat(), own.stat()
    return (there.st_size, there.st_mtime_ns) == (here.st_size, here.st_mtime_ns)


def _is_of_an_earlier_release(path: Path) -> bool:
    """Tell whether a file is no link, and no copy of a provider's own file."""
    others = (_of(path, provider) for provider in ProviderName)
    return path.is_file() and not path.is_symlink() and not any(map(Path.exists, others))


def _owner_of(warehouse: Path, engine: Engine, settings: Settings) -> ProviderName:
    """Return whose a warehouse of an earlier release is: his whose ledger knows its newest row."""
    with contextlib.suppress(WarehouseError):
        newest = query(warehouse, _NEWEST)[1]
        if newest:
            with transaction(engine, reading=True) as connection:
                known = select(intents.c.intent_id).where(intents.c.intent_id == newest[0][0])
                if connection.execute(known).first() is None:
                    return next(each for each in ProviderName if each is not settings.provider)
    return settings.provider


def _hand_over(paths: Iterable[Path], owner: ProviderName) -> None:
    for path in paths:
        if _is_of_an_earlier_release(path):
            path.replace(_of(path, owner))


def _of(path: Path, provider: ProviderName) -> Path:
    return path.with_suffix(f".{provider}{path.suffix}")
