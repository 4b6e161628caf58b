"""What `doctor` looks at beyond this machine's files: provider, ledger and store."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import SecretStr
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.exc import DBAPIError

from asset_pipeline.clock import SystemClock
from asset_pipeline.custody.store_ownership import OwnershipEvidence
from asset_pipeline.disclosure.addresses import shown_address
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.ledger.engine import HEAD_REVISION, LedgerError, open_engine, parse_url
from asset_pipeline.ledger.identity import IdentityRepository
from asset_pipeline.ledger.provider_ledger import open_own_engine
from asset_pipeline.monitoring.checkup import Checkup, State, clock_checkup, nearest
from asset_pipeline.providers.protocol import Provider, ProviderError
from asset_pipeline.settings import ProviderName, Settings
from asset_pipeline.stores.environment import bucket_settings
from asset_pipeline.stores.factory import bucket_of
from asset_pipeline.stores.hardening import RuleStatus, check, each
from asset_pipeline.stores.marker import OWN_FOLDER, StoreMarker, marker_key, read_marker
from asset_pipeline.stores.probe import try_everything
from asset_pipeline.stores.protocol import Store, StoreError

if TYPE_CHECKING:
    from asset_pipeline.defs.resources.replicate import ReplicateResource
    from asset_pipeline.defs.resources.store import StoreResource

_PROVIDER_SECONDS: Final = 15
_LEDGER_SECONDS: Final = 10

_STATES: Final = {RuleStatus.OK: State.OK, RuleStatus.FAIL: State.FAIL}


def look_at_provider(settings: Settings) -> Iterator[Checkup]:
    """Ask the provider for nothing, which is free; a sandbox that is not running stays so."""
    is_sandbox = settings.provider is ProviderName.SANDBOX
    if is_sandbox and not settings.replicate_base_url:
        yield Checkup("provider", State.OK, "The sandbox is started when it is needed.")
        return
    if not is_sandbox and settings.replicate_api_token is None:
        yield Checkup("provider", State.WARN, "Not asked: there is no token.")
        return
    offset = asyncio.run(_ask(_replicate().open_provider))
    yield Checkup("provider", State.OK, "It answers, and takes the token.")
    yield clock_checkup("clock: provider", "the provider's", offset)


async def _ask(open_provider: Callable[[], Provider]) -> float:
    """List what was made since now: nothing, for nothing; return how far its clock is ahead."""
    provider = open_provider()
    try:
        async with asyncio.timeout(_PROVIDER_SECONDS):
            async for _ in provider.list_since(datetime.now(UTC)):
                break
            return max(provider.clock_offset(), key=abs)
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
    revision = found_revision(settings.ledger_url)
    if revision == HEAD_REVISION:
        open_own_engine(settings).dispose()
        yield Checkup("ledger", State.OK, f"It opens and is at revision {revision}, the newest.")
    elif revision is None:
        yield _none_yet(settings)
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


def _none_yet(settings: Settings) -> Checkup:
    """Tell a first run from a ledger that is gone: the store knows whether there was one."""
    marker = _marker(settings)
    target = parse_url(settings.ledger_url)
    is_file = target.get_backend_name() == "sqlite" and Path(target.database or "").is_file()
    what = "It is an empty file" if is_file else "There is none"
    if marker is not None:
        return Checkup(
            "ledger",
            State.FAIL,
            f"{what}, but {shown_address(settings.store_url)} holds the clips of one "
            f"({marker.ledger_id[:8]}, since {marker.created_at:%Y-%m-%d}).",
            "Check ASSET_PIPELINE_LEDGER_URL and ASSET_PIPELINE_DATA_DIR, or put a backup back "
            "with `asset-pipeline ledger restore`. Without it every clip would be paid for again.",
        )
    if is_file:
        return Checkup(
            "ledger",
            State.WARN,
            f"{what}: the first run makes a ledger of it.",
            "If there was one, put a backup back with `asset-pipeline ledger restore`.",
        )
    return Checkup("ledger", State.OK, f"{what} yet: the first run makes it.")


def found_revision(url: SecretStr) -> str | None:
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
    """Try the store, make a link to it, and hold it against the ledger."""
    store = _store().open()
    is_bucket = bucket_of(settings.store_url) is not None
    asked = bucket_settings(settings).describe()
    if asked and is_bucket:
        yield Checkup("store: settings", State.OK, f"Requests are sent with {asked}.")
    yield from _try_store(settings, store, is_bucket=is_bucket)
    yield _link_checkup(store)


def look_at_bucket_rules(settings: Settings) -> Iterator[Checkup]:
    """Ask a bucket what keeps it private."""
    del settings
    for finding in each(_store().rules(), check):
        yield Checkup(
            f"store: {finding.rule}",
            _STATES.get(finding.verdict, State.WARN),
            finding.detail,
            finding.advice,
        )


def _link_checkup(store: Store) -> Checkup:
    """Sign a link, which asks the store for nothing: a key to sign with is what may be missing."""
    key = f"{OWN_FOLDER}probe.txt"
    try:
        store.signed_url(key, ttl=timedelta(minutes=1))
    except StoreError as error:
        return Checkup("store: links", State.WARN, error.message, error.hint)
    return Checkup("store: links", State.OK, "Links to clips can be made.")


def _try_store(settings: Settings, store: Store, *, is_bucket: bool) -> Iterator[Checkup]:
    try:
        note = _standing(settings, store)
        root = Path(getattr(store, "root", settings.store_url))
        if is_bucket or root.is_dir():
            try_everything(store)
            tried = "A file was put, read back, listed and deleted."
        elif root.exists():
            raise StoreError(
                f"{root} is a file where the store's folder should be.",
                hint="Move it away, or choose another store with ASSET_PIPELINE_STORE_URL.",
            )
        else:
            with tempfile.TemporaryFile(dir=nearest(root)):
                pass
            tried = "It can be made."
    except AssetPipelineError as error:
        yield Checkup("store", State.FAIL, error.message, error.hint)
    else:
        state = State.WARN if note else State.OK
        where = shown_address(settings.store_url)
        yield Checkup("store", state, f"{where} can be written. {tried}", note)


def _standing(settings: Settings, store: Store) -> str:
    """Hold a ledger that exists against the store; return what a person should hear of.

    Raises:
        AssetPipelineError: They don't belong together.
    """
    try:
        if found_revision(settings.ledger_url) != HEAD_REVISION:
            return ""
    except LedgerError:
        return ""  # its own line says so
    with closing(IdentityRepository(open_engine(settings.ledger_url), SystemClock())) as book:
        belonging = _store().belonging(store, book.engine)
        return belonging.moved if belonging.look() is OwnershipEvidence.MOVED else ""


def _marker(settings: Settings) -> StoreMarker | None:
    """Return the store's marker; None as well when it can't be read, which is told elsewhere."""
    try:
        return read_marker(_store().open(), marker_key(settings.provider.value))
    except AssetPipelineError:
        return None


def _replicate() -> ReplicateResource:
    from asset_pipeline.defs.resources.replicate import ReplicateResource  # noqa: PLC0415 -- Dagster

    return ReplicateResource()


def _store() -> StoreResource:
    from asset_pipeline.defs.resources.store import StoreResource  # noqa: PLC0415 -- Dagster

    return StoreResource()
