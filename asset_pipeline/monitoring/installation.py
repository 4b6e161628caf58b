"""The one list of checks of an installation: each part by itself, changing nothing.

`doctor` runs all of it, the service in the background what it can't be without or should warn of.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil
from sqlalchemy.exc import SQLAlchemyError

from asset_pipeline.catalog.reader import load_catalog
from asset_pipeline.clock import SystemClock
from asset_pipeline.defs.instance.folder import flaws, is_made, storage_folder_if_made
from asset_pipeline.defs.instance.home import dagster_home
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.monitoring.checkup import Checkup, State, nearest
from asset_pipeline.monitoring.ledger_parts import (
    look_at_breakers,
    look_at_daemon,
    look_at_ledger_clock,
    look_at_writes,
)
from asset_pipeline.monitoring.remote_parts import (
    look_at_bucket_rules,
    look_at_ledger,
    look_at_provider,
    look_at_store,
)
from asset_pipeline.prompts.library import load_library
from asset_pipeline.provenance.keys import EXPIRES_SOON, EXTRA_HINT, is_configured, load_key
from asset_pipeline.provenance.manifests import is_installed
from asset_pipeline.settings import ProviderName, Settings
from asset_pipeline.warehouse.query import query

# A batch holds some dozens of downloads at a time, a clip of sound up to 256 MiB.
_ROOM_WANTED: Final = 2 * 1024**3
_ROOM_NEEDED: Final = 200 * 1024**2

# The decoder of the largest picture takes 820 MB; below the less nothing can be begun at all.
_MEMORY_WANTED: Final = 512 * 1024**2
_MEMORY_NEEDED: Final = 64 * 1024**2
_CGROUP: Final = Path("/sys/fs/cgroup")

_ASK: Final = "Check that the file is readable and writable, or that the server runs."


Look = Callable[[Settings], Iterator[Checkup]]


@dataclass(frozen=True, slots=True)
class Check:
    """One look at one part.

    Attributes:
        every: The service looks again after so many seconds; None if it never does: what costs
            much, or tells of a configuration that does not change while it runs.
        limit: Seconds after which the service takes no answer for an answer.
        needed: Whether the service is not ready when this fails.
    """

    part: str
    look: Look
    every: float | None = None
    limit: float = 10.0
    needed: bool = False

    def run(self, settings: Settings) -> Iterator[Checkup]:
        """Yield how the part is, or why it can't be looked at."""
        try:
            yield from self.look(settings)
        except AssetPipelineError as error:
            yield Checkup(self.part, State.FAIL, error.message, error.hint)
        except SQLAlchemyError as error:
            said = str(getattr(error, "orig", None) or error).partition("\n")[0]
            yield Checkup(self.part, State.FAIL, f"The ledger can't be asked: {said}.", _ASK)
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            yield Checkup(
                self.part,
                State.FAIL,
                f"{where}{error.strerror or error}.",
                "Make it readable and writable for this user.",
            )


def checkups(settings: Settings) -> Iterator[Checkup]:
    """Yield how each part is; one that can't be looked at keeps no other from it."""
    for check in CHECKS:
        yield from check.run(settings)


def _token(settings: Settings) -> Iterator[Checkup]:
    if settings.provider is ProviderName.SANDBOX:
        yield Checkup("token", State.OK, "The sandbox makes the clips: it needs none.")
    elif settings.replicate_api_token is not None:
        yield Checkup("token", State.OK, "REPLICATE_API_TOKEN is set.")
    else:
        yield Checkup(
            "token",
            State.FAIL,
            "REPLICATE_API_TOKEN is not set.",
            "Set it, or ASSET_PIPELINE_PROVIDER=sandbox to try things for nothing.",
        )


def _data(settings: Settings) -> Iterator[Checkup]:
    folder = nearest(settings.data_dir)
    with tempfile.TemporaryFile(dir=folder):
        pass
    made = "" if folder == settings.data_dir else " It is made by the first run."
    yield Checkup("data folder", State.OK, f"{settings.data_dir} can be written.{made}")


def _disk(settings: Settings) -> Iterator[Checkup]:
    free = shutil.disk_usage(nearest(settings.data_dir)).free
    enough = State.OK if free >= _ROOM_WANTED else State.WARN
    yield Checkup(
        "disk",
        enough if free >= _ROOM_NEEDED else State.FAIL,
        f"{free / 1024**3:,.1f} GiB are free below {settings.data_dir}.",
        "" if enough is State.OK else "Free some space, or set ASSET_PIPELINE_DATA_DIR.",
    )


def _prompts(settings: Settings) -> Iterator[Checkup]:
    library = load_library(settings.prompts_dir, load_catalog(settings.config_dir))
    found = f"{len(library.prompts):,} prompts in {settings.prompts_dir}."
    if library.problems:
        yield Checkup(
            "prompts",
            State.WARN,
            f"{found} {len(library.problems):,} problems.",
            "`asset-pipeline prompts validate` lists them.",
        )
    elif library.prompts:
        yield Checkup("prompts", State.OK, found)
    else:
        yield Checkup(
            "prompts", State.WARN, found, "Write some, or set ASSET_PIPELINE_PROMPTS_DIR."
        )


def _dagster(settings: Settings) -> Iterator[Checkup]:
    del settings
    home, chosen = dagster_home(), os.environ.get("DAGSTER_HOME", "")
    if chosen and not Path(chosen).is_absolute():
        yield Checkup(
            "DAGSTER_HOME", State.FAIL, f"{chosen!r} is relative.", "Set it to an absolute path."
        )
    elif (home / "dagster.yaml").is_file():
        yield from _dagster_folder(home)
    else:
        yield Checkup(
            "DAGSTER_HOME",
            State.WARN,
            f"{home} has no dagster.yaml: Dagster runs with its own defaults.",
            "Set DAGSTER_HOME to the project's dagster_home, or copy its dagster.yaml there.",
        )


def _dagster_folder(home: Path) -> Iterator[Checkup]:
    """Open the instance as the commands do, once its databases are found to be whole."""
    with tempfile.TemporaryFile(dir=home):
        pass
    folder = storage_folder_if_made(home)
    found = flaws(folder)
    for flaw in found:
        yield Checkup("DAGSTER_HOME", State.FAIL, flaw.message, flaw.hint)
    if found:
        return
    if is_made(folder):
        # Dagster takes two seconds to import: only where there is something to open.
        from asset_pipeline.defs.instance.access import look_into_instance  # noqa: PLC0415

        look_into_instance()
    text = (home / "dagster.yaml").read_text(encoding="utf-8")
    if "PooledSqliteEventLogStorage" in text:
        yield Checkup(
            "DAGSTER_HOME",
            State.WARN,
            f"By {home / 'dagster.yaml'} the sandbox and real work share runs and schedules.",
            "Replace its event_log_storage by the storage of the project's own dagster.yaml.",
        )
    else:
        yield Checkup("DAGSTER_HOME", State.OK, f"{home} has a dagster.yaml and can be written.")


def _signing(settings: Settings) -> Iterator[Checkup]:
    """Look at certificate and key: whether they fit, and how long they hold."""
    if not is_configured(settings):
        yield Checkup("signing key", State.OK, "None: renditions and exports are marked, unsigned.")
        return
    if not is_installed():
        what = "A signing key is configured, and c2pa-python is not installed: nothing is signed."
        yield Checkup("signing key", State.FAIL, what, EXTRA_HINT)
        return
    key = load_key(settings)
    if key is None:
        return
    now = SystemClock().now()
    key.check(now)
    until = f"{key.subject}, by {key.issuer}: good until {key.not_after:%Y-%m-%d}."
    if key.not_after - now < EXPIRES_SOON:
        days = (key.not_after - now).days
        advice = "Replace it: what it signed stops verifying as trusted on that day."
        yield Checkup("signing key", State.WARN, f"{until} That is in {days} days.", advice)
    elif key.is_development:
        advice = "A certificate that others trust is bought; see docs/provenance.md."
        yield Checkup("signing key", State.WARN, f"{until} It is for development.", advice)
    else:
        yield Checkup("signing key", State.OK, until)


def _warehouse(settings: Settings) -> Iterator[Checkup]:
    own, fixed = settings.own_warehouse_path, settings.warehouse_path
    # Of an earlier release there is one for all.
    path = own if own.exists() or fixed.is_symlink() else fixed
    if path.exists():
        query(path, "SELECT 1")
        yield Checkup("warehouse", State.OK, f"{path} can be read.")
    else:
        yield Checkup("warehouse", State.OK, "None is published yet: the first run does so.")


def _memory(settings: Settings) -> Iterator[Checkup]:
    """Look at what the machine has left, or the container if that has less."""
    del settings
    left = min(psutil.virtual_memory().available, _left_in_container())
    enough = State.OK if left >= _MEMORY_WANTED else State.WARN
    yield Checkup(
        "memory",
        enough if left >= _MEMORY_NEEDED else State.FAIL,
        f"{left / 1024**3:,.1f} GiB are free.",
        "" if enough is State.OK else "Lower ASSET_PIPELINE_MAX_IMAGES_DECODED, or add memory.",
    )


def _left_in_container() -> float:
    try:
        limit = (_CGROUP / "memory.max").read_text().strip()
        used = (_CGROUP / "memory.current").read_text().strip()
        return float("inf") if limit == "max" else float(limit) - float(used)
    except (OSError, ValueError):
        return float("inf")


CHECKS: Final = (
    Check("token", _token),
    Check("provider", look_at_provider),
    Check("breakers", look_at_breakers, every=5),
    Check("ledger", look_at_ledger, every=5, needed=True),
    Check("ledger: writes", look_at_writes, every=5, limit=35, needed=True),
    Check("clock", look_at_ledger_clock, every=30),
    Check("data folder", _data, every=5, needed=True),
    Check("disk", _disk, every=5, needed=True),
    Check("memory", _memory, every=5, needed=True),
    Check("prompts", _prompts),
    Check("DAGSTER_HOME", _dagster),
    Check("daemon", look_at_daemon, every=5),
    Check("warehouse", _warehouse),
    Check("signing key", _signing, every=3600),
    Check("store", look_at_store, every=15, limit=20, needed=True),
    Check("store: rules", look_at_bucket_rules),
)
