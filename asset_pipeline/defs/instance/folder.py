"""The folder of a Dagster instance: whose storage is where in it, made by one process at a time.

Partitions are named by their prompts, whoever makes the clips. So that a drawing of the sandbox
never shows as a clip of a real model, each provider has a storage of its own below DAGSTER_HOME:
whoever opens it first has the folder itself, another one the folder of its name in it. What an
earlier release shared between the two stays with whom the ledgers say worked alone, or with real
work.

Two processes that make the stock storage at the same moment can stamp its schema twice, and then
nobody can open it any more: of ten new folders, six were lost so. Hence the lock, and the mending.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from asset_pipeline.errors import ConfigurationError
from asset_pipeline.files import write_atomically
from asset_pipeline.settings import ProviderName, Settings, load_settings

_LOCK: Final = ".storage.lock"
_OWNER: Final = ".storage_of"

# Making a storage takes two seconds on a busy machine, opening one a tenth of that.
_LOCK_SECONDS: Final = 120.0
_LOOK_SECONDS: Final = 0.02


class InstanceBrokenError(ConfigurationError):
    """A database of the Dagster instance can't be opened by anybody."""


@dataclass(frozen=True, slots=True)
class _Database:
    """A database of the stock SQLite storage, and the Dagster module that makes it."""

    path: Path
    module: str


_DATABASES: Final = (
    _Database(Path("history", "runs.db"), "dagster._core.storage.runs.sqlite.sqlite_run_storage"),
    _Database(
        Path("history", "runs", "index.db"),
        "dagster._core.storage.event_log.sqlite.sqlite_event_log",
    ),
    _Database(
        Path("schedules", "schedules.db"),
        "dagster._core.storage.schedules.sqlite.sqlite_schedule_storage",
    ),
)


class _Held(threading.local):
    """The folders whose lock this thread has."""

    def __init__(self) -> None:
        self.homes: set[Path] = set()


_held = _Held()


@contextlib.contextmanager
def sole_opening(home: Path) -> Generator[None]:
    """Lock the instance against other processes; it is re-entrant.

    Raises:
        OSError: The folder can't be written.
        ConfigurationError: Another process has kept the lock for two minutes.
    """
    home = home.absolute()
    if home in _held.homes:
        yield
        return
    home.mkdir(parents=True, exist_ok=True)
    with (home / _LOCK).open("a") as lock:
        _lock(lock.fileno(), home)
        _held.homes.add(home)
        try:
            yield  # closing the file lets the lock go, and so does the end of the process
        finally:
            _held.homes.discard(home)


def storage_folder(home: Path) -> Path:
    """Return where the provider in use keeps runs, events and schedules below DAGSTER_HOME.

    Whose the folder itself is gets decided once, by the first that opens it, and is written there.
    """
    settings = load_settings()
    with sole_opening(home):
        folder = home if settings.provider is _owner(home, settings) else home / settings.provider
        mend(folder)
    return folder


def storage_folder_if_made(home: Path) -> Path:
    """Return the same without deciding or writing anything."""
    settings = load_settings()
    return home if settings.provider is _found_owner(home, settings) else home / settings.provider


def is_made(folder: Path) -> bool:
    """Tell whether a storage was ever opened in a folder."""
    return (folder / _DATABASES[0].path).exists()


def mend(folder: Path) -> None:
    """Remove the second schema stamp of databases that two processes created at once.

    The tables are whole and as the newest stamp says: both processes made the same ones.

    Raises:
        InstanceBrokenError: A database has stamps that none of its makers can have written.
    """
    for database in _DATABASES:
        stamps = _stamps(folder / database.path)
        if len(stamps) <= 1:
            continue
        newest = _newest_of(database.module)
        if newest not in stamps:
            raise _broken(folder / database.path, f"its schema is stamped {', '.join(stamps)}")
        with contextlib.closing(sqlite3.connect(folder / database.path)) as connection:
            connection.execute("DELETE FROM alembic_version WHERE version_num <> ?", (newest,))
            connection.commit()


def flaws(folder: Path) -> list[InstanceBrokenError]:
    """Return what is wrong with the databases of a storage; nothing is changed."""
    found: list[InstanceBrokenError] = []
    for database in _DATABASES:
        path = folder / database.path
        try:
            stamps = _stamps(path)
        except InstanceBrokenError as error:
            found.append(error)
            continue
        if len(stamps) > 1:
            newest = _newest_of(database.module)
            found.append(
                InstanceBrokenError(
                    f"{path} was made by two processes at once, and its schema is stamped twice.",
                    hint="`asset-pipeline status` takes the second stamp back; nothing is lost.",
                )
                if newest in stamps
                else _broken(path, f"its schema is stamped {', '.join(stamps)}")
            )
    return found


def _lock(descriptor: int, home: Path) -> None:
    give_up = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > give_up:
                raise ConfigurationError(
                    f"Another process has been opening {home} for {_LOCK_SECONDS:.0f} s.",
                    hint="End it, if it hangs, and run the command again.",
                ) from None
            time.sleep(_LOOK_SECONDS)
        else:
            return


def _owner(home: Path, settings: Settings) -> ProviderName:
    """Return the provider that owns the folder's storage; record it if nobody has."""
    owner = _found_owner(home, settings)
    if not (home / _OWNER).exists():
        write_atomically(home / _OWNER, f"{owner}\n")
    return owner


def _found_owner(home: Path, settings: Settings) -> ProviderName:
    with contextlib.suppress(OSError, ValueError):
        return ProviderName((home / _OWNER).read_text(encoding="utf-8").strip())
    if settings.chosen_ledger_url is not None or not is_made(home):
        return settings.provider
    used = {each: _was_used(settings.default_ledger_path(each)) for each in ProviderName}
    alone = used[ProviderName.SANDBOX] and not used[ProviderName.REPLICATE]
    return ProviderName.SANDBOX if alone else ProviderName.REPLICATE


def _was_used(ledger: Path) -> bool:
    """Tell whether anything was ever asked for by a ledger."""
    return bool(_asked(ledger, lambda connection: connection.execute(_ANY_INTENT).fetchall()))


_ANY_INTENT: Final = "SELECT 1 FROM intents LIMIT 1"


def _stamps(path: Path) -> list[str]:
    """Return the revisions that a database is stamped with, none for one that was never made.

    Raises:
        InstanceBrokenError: It is no database.
    """
    try:
        rows = _asked(path, lambda connection: connection.execute(_STAMPS).fetchall(), strict=True)
    except sqlite3.DatabaseError as error:
        raise _broken(path, str(error)) from None
    return [str(row[0]) for row in rows]


_STAMPS: Final = "SELECT version_num FROM alembic_version ORDER BY version_num"


def _asked(
    path: Path, ask: Callable[[sqlite3.Connection], list[tuple[object]]], *, strict: bool = False
) -> list[tuple[object]]:
    """Ask a database that may not be there, or not be made yet: that is no answer."""
    if not path.exists() or not path.stat().st_size:
        return []
    with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        try:
            return ask(connection)
        except sqlite3.OperationalError as error:
            if strict and "no such table" not in str(error):
                raise
            return []
        except sqlite3.DatabaseError:
            if strict:
                raise
            return []


def _newest_of(module: str) -> str:
    """Return the revision that this release of Dagster stamps a new database with."""
    # Needed once in the life of a broken folder; Dagster and Alembic take two seconds.
    import importlib  # noqa: PLC0415

    from alembic.script import ScriptDirectory  # noqa: PLC0415

    from asset_pipeline.defs._dagster_private import get_alembic_config  # noqa: PLC0415

    made_by = os.fspath(importlib.import_module(module).__file__ or "")
    return str(ScriptDirectory.from_config(get_alembic_config(made_by)).as_revision_number("head"))


def _broken(path: Path, why: str) -> InstanceBrokenError:
    return InstanceBrokenError(
        f"{path} can't be opened: {why}.",
        hint="Stop what uses it and move the file away: the ledger knows what was paid, and the "
        "next `asset-pipeline generate` shows the clips again for nothing.",
    )
