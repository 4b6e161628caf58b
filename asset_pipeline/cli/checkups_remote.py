"""What `doctor` looks at beyond this machine's files: provider, ledger and store."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pydantic import SecretStr
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.exc import DBAPIError

from asset_pipeline.cli.checkup import Checkup, State, nearest
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.ledger.engine import HEAD_REVISION, LedgerError, parse_url
from asset_pipeline.providers.protocol import Provider, ProviderError
from asset_pipeline.resources.own_ledger import open_own_engine
from asset_pipeline.resources.replicate import ReplicateResource
from asset_pipeline.resources.store import StoreResource
from asset_pipeline.settings import ProviderName, Settings
from asset_pipeline.stores.hardening import Verdict, check, each
from asset_pipeline.stores.opening import bucket_of

_PROVIDER_SECONDS: Final = 15
_LEDGER_SECONDS: Final = 10

_STATES: Final = {Verdict.OK: State.OK, Verdict.FAIL: State.FAIL}


def look_at_provider(settings: Settings) -> Iterator[Checkup]:
    """Ask the provider for nothing, which is free; a sandbox that is not running stays so."""
    is_sandbox = settings.provider is ProviderName.SANDBOX
    if is_sandbox and not settings.replicate_base_url:
        yield Checkup("provider", State.OK, "The sandbox is started when it is needed.")
        return
    if not is_sandbox and settings.replicate_api_token is None:
        yield Checkup("provider", State.WARN, "Not asked: there is no token.")
        return
    asyncio.run(_ask(ReplicateResource().open_provider))
    yield Checkup("provider", State.OK, "It answers, and takes the token.")


async def _ask(open_provider: Callable[[], Provider]) -> None:
    """List what was made since now: nothing, for nothing."""
    provider = open_provider()
    try:
        async with asyncio.timeout(_PROVIDER_SECONDS):
            async for _ in provider.list_since(datetime.now(UTC)):
                return
    except (ProviderError, TimeoutError) as error:
        said = getattr(error, "message", "") or f"no answer within {_PROVIDER_SECONDS} s"
        raise AssetPipelineError(
            f"The provider can't be asked: {said}.",
            hint="Check the network, REPLICATE_API_TOKEN and REPLICATE_BASE_URL.",
        ) from None
    finally:
        await provider.aclose()


def look_at_ledger(settings: Settings) -> Iterator[Checkup]:
    """Open the ledger and compare its revision; none is made, and none is upgraded."""
    revision = _found_revision(settings.ledger_url)
    if revision == HEAD_REVISION:
        open_own_engine(settings).dispose()
        yield Checkup("ledger", State.OK, f"It opens and is at revision {revision}, the newest.")
    elif revision is None:
        yield Checkup("ledger", State.OK, "There is none yet: the first run makes it.")
    elif revision < HEAD_REVISION:
        yield Checkup(
            "ledger",
            State.WARN,
            f"It is at revision {revision}, behind {HEAD_REVISION}.",
            "Run `asset-pipeline ledger upgrade`; the next run does so too.",
        )
    else:
        yield Checkup(
            "ledger",
            State.FAIL,
            f"It is at revision {revision}, which this release does not know.",
            "A newer release has written it: use that one.",
        )


def _found_revision(url: SecretStr) -> str | None:
    """Return the revision of a ledger that exists; opening it the usual way would make one."""
    target = parse_url(url)
    if target.get_backend_name() == "sqlite":
        if not target.database or not Path(target.database).is_file():
            return None
        engine = create_engine(target)
    else:
        driver = target.set(drivername="postgresql+psycopg")
        engine = create_engine(driver, connect_args={"connect_timeout": _LEDGER_SECONDS})
    try:
        with engine.connect() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return None
            return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    except DBAPIError as error:
        first = str(error.orig).partition("\n")[0]
        raise LedgerError(
            f"{target.render_as_string(hide_password=True)} can't be opened: {first}.",
            hint="Check that the file is readable, or that the server runs and lets you in.",
        ) from None
    finally:
        engine.dispose()


def look_at_store(settings: Settings) -> Iterator[Checkup]:
    """Reach the store, and ask a bucket for each of the rules that keep it private."""
    store = StoreResource().open()
    if bucket_of(settings.store_url) is None:
        folder = nearest(Path(getattr(store, "root", settings.store_url)))
        with tempfile.TemporaryFile(dir=folder):
            pass
        yield Checkup("store", State.OK, f"{settings.store_url} can be written.")
        return
    # No key begins so: it asks whether the bucket answers, and returns nothing.
    next(store.list("=doctor/"), None)
    yield Checkup("store", State.OK, f"{settings.store_url} answers.")
    for finding in each(StoreResource().rules(), check):
        yield Checkup(
            f"store: {finding.rule}",
            _STATES.get(finding.verdict, State.WARN),
            finding.detail,
            finding.advice,
        )
