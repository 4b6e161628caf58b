"""What `ledger backup` and `ledger restore` do: to a file or a bucket, from SQLite or Postgres."""

from __future__ import annotations

import hashlib
import tempfile
from datetime import datetime
from pathlib import Path

from asset_pipeline.disclosure.addresses import shown_address
from asset_pipeline.errors import ConfigurationError
from asset_pipeline.ledger import backup as sqlite_backup
from asset_pipeline.ledger import postgres_backup
from asset_pipeline.settings import Settings
from asset_pipeline.stores.environment import settings_for
from asset_pipeline.stores.factory import bucket_of, open_store
from asset_pipeline.stores.protocol import ObjectNotFoundError

_TYPE = "application/octet-stream"


def back_up(settings: Settings, target: str, now: datetime) -> tuple[str, int]:
    """Copy the ledger to a new file, or to a bucket under a name with the time.

    Returns:
        Where the copy is, and its size in bytes.

    Raises:
        AssetPipelineError: Ledger or target can't be used.
    """
    if bucket_of(target) is None:
        path = Path(target).expanduser()
        return str(path), _copy(settings, path)
    _keep_apart(settings, target)
    is_dump = postgres_backup.is_on_postgres(settings.ledger_url)
    name = f"ledger-{now:%Y%m%dT%H%M%SZ}.{'dump' if is_dump else 'db'}"
    with tempfile.TemporaryDirectory(prefix="ledger-backup-") as folder:
        copy = Path(folder) / name
        size = _copy(settings, copy)
        with copy.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        store = open_store(target, settings_for(target, settings))
        stored = store.put(name, copy, sha256=digest, content_type=_TYPE)
    return shown_address(stored.uri), size


def put_back(settings: Settings, source: str, now: datetime) -> Path | None:
    """Put a copy in the ledger's place, from a file or a bucket.

    Returns:
        Where the former ledger is kept, if there was one.

    Raises:
        AssetPipelineError: The copy is none, or the ledger is in use.
    """
    if bucket_of(source) is None:
        return _load(settings, Path(source).expanduser(), now)
    folder_url, _, name = source.rpartition("/")
    with tempfile.TemporaryDirectory(prefix="ledger-restore-") as folder:
        copy = Path(folder) / "copy"
        try:
            open_store(folder_url, settings_for(folder_url, settings)).get(name, copy)
        except ObjectNotFoundError:
            raise ConfigurationError(
                f"There is no backup {shown_address(source)}.",
                hint="Give the address that `ledger backup` told.",
            ) from None
        return _load(settings, copy, now)


def _copy(settings: Settings, path: Path) -> int:
    if postgres_backup.is_on_postgres(settings.ledger_url):
        return postgres_backup.dump(settings.ledger_url, path)
    return sqlite_backup.backup(settings.ledger_url, path)


def _load(settings: Settings, path: Path, now: datetime) -> Path | None:
    if postgres_backup.is_on_postgres(settings.ledger_url):
        postgres_backup.load(settings.ledger_url, path)
        return None
    return sqlite_backup.restore(settings.ledger_url, path, now=now)


def _keep_apart(settings: Settings, target: str) -> None:
    """Refuse a place among the clips: `fsck` takes what no clip is for a stray."""
    clips = settings.store_url.rstrip("/")
    if f"{target.rstrip('/')}/".startswith(f"{clips}/"):
        raise ConfigurationError(
            f"{shown_address(target)} is where the clips are.",
            hint="Give another bucket, or another prefix beside the clips'.",
        )
