"""Opening the ledger of the provider in use; another provider's is refused.

It imports no Dagster: commands that only read the ledger start in half a second.
"""

from __future__ import annotations

import contextlib
import sqlite3
from http import HTTPStatus
from pathlib import Path

from sqlalchemy import Engine

from asset_pipeline.files import keep_private
from asset_pipeline.ledger.engine import open_engine, parse_url
from asset_pipeline.ledger.provider_binding import Judge, bind, check_provider
from asset_pipeline.settings import ProviderName, Settings

_SANDBOX_SECONDS = 5.0

# What the product itself keeps below the data folder; clips are where their store is.
_OWN_FILES = ("ledger*.db*", "warehouse*.duckdb*")
_OWN_FOLDERS = ("logs", "scratch", "previews", "sandbox")


def open_own_engine(settings: Settings) -> Engine:
    """Open the ledger for the provider in use.

    Raises:
        ConfigurationError: The URL can't be used.
        LedgerError: It can't be opened, or holds the payments of another provider.
    """
    engine = open_engine(settings.ledger_url)
    _keep_private(settings)
    try:
        check_own(engine, settings)
    except BaseException:
        engine.dispose()
        raise
    return engine


def _keep_private(settings: Settings) -> None:
    """Make files in the data folder private that an earlier release left readable."""
    data = settings.data_dir
    ledger = _path_of(settings)
    beside = () if ledger is None else ledger.parent.glob(f"{ledger.name}*")
    keep_private(
        data,
        *(path for pattern in _OWN_FILES for path in data.glob(pattern)),
        *beside,
        *(data / folder for folder in _OWN_FOLDERS),
        *(path for folder in _OWN_FOLDERS for path in (data / folder).glob("*")),
    )


def check_own(engine: Engine, settings: Settings) -> None:
    """Refuse an open ledger that holds the payments of another provider.

    Raises:
        LedgerError: It does.
    """
    check_provider(engine, settings.provider, _judge_of(settings))


def bind_own(engine: Engine, settings: Settings) -> None:
    """Bind an empty ledger to the provider in use, because payments are about to begin.

    Raises:
        LedgerError: It is bound to another one.
    """
    bind(engine, settings.provider)


def _judge_of(settings: Settings) -> Judge:
    """Return who decides whose the ledger of an earlier release is: its file, else its newest row.

    A real ledger that the sandbox takes for its own would lose what is open in it, so the sandbox
    has to know the newest prediction. A real provider gets what the sandbox does not claim.
    """

    def judge(prediction_id: str) -> str:
        path = _path_of(settings)
        for provider in ProviderName:
            if path == settings.default_ledger_path(provider):
                return provider
        drawn = bool(prediction_id) and _is_of_sandbox(settings, prediction_id)
        return ProviderName.SANDBOX if drawn else ProviderName.REPLICATE

    return judge


def _path_of(settings: Settings) -> Path | None:
    target = parse_url(settings.ledger_url)
    if target.get_backend_name() != "sqlite" or not target.database:
        return None
    return Path(target.database).absolute()


def _is_of_sandbox(settings: Settings, prediction_id: str) -> bool:
    """Tell whether the sandbox in use has made a prediction: by its own memory, else by asking."""
    memory = settings.data_dir / "sandbox" / "sandbox.db"
    if memory.is_file():
        with (
            contextlib.suppress(sqlite3.Error),
            contextlib.closing(sqlite3.connect(f"{memory.as_uri()}?mode=ro", uri=True)) as asked,
        ):
            found = asked.execute("SELECT 1 FROM predictions WHERE id = ?", (prediction_id,))
            if found.fetchone() is not None:
                return True
    if settings.provider is not ProviderName.SANDBOX or not settings.replicate_base_url:
        return False
    import httpx  # noqa: PLC0415 -- once in the life of a ledger of an earlier release

    url = f"{settings.replicate_base_url.rstrip('/')}/v1/predictions/{prediction_id}"
    with contextlib.suppress(httpx.HTTPError, httpx.InvalidURL):
        reply = httpx.get(
            url,
            headers={"Authorization": "Bearer sandbox"},
            trust_env=False,
            timeout=_SANDBOX_SECONDS,
        )
        return reply.status_code == HTTPStatus.OK
    return False
