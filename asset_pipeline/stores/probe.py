"""Testing whether a store accepts files, before anything is paid for."""

from __future__ import annotations

import contextlib
import secrets
import tempfile
from pathlib import Path
from typing import Final

from asset_pipeline.files import sha256_of
from asset_pipeline.stores.marker import OWN_FOLDER
from asset_pipeline.stores.protocol import Store, StoreError

_CONTENT: Final = b"asset-pipeline tries whether it may write here. This file may be deleted.\n"


def try_putting(store: Store) -> None:
    """Put a small object and delete it, if that is allowed; no clip is touched.

    Raises:
        StoreError: The store does not take it.
    """
    key = _put(store)
    # Buckets that nobody may delete from are stores too.
    with contextlib.suppress(StoreError):
        store.delete(key)


def try_everything(store: Store) -> None:
    """Put a small object, read it back, find it in a listing and delete it; no clip is touched.

    Raises:
        StoreError: One of these is refused, or what comes back is not what was put.
    """
    key = _put(store)
    try:
        found = b"".join(store.read(key))
        listed = any(each.key == key for each in store.list(key))
    except BaseException:
        with contextlib.suppress(StoreError):
            store.delete(key)
        raise
    store.delete(key)
    if found != _CONTENT:
        raise StoreError(
            f"{store.uri(key)} came back as {len(found):,} other bytes than were put.",
            hint="Something between here and the store changes what passes.",
        )
    if not listed:
        raise StoreError(
            f"{store.uri(key)} was put and is in no listing.",
            hint="Allow these credentials to list the store.",
        )
    if store.exists(key):
        raise StoreError(
            f"{store.uri(key)} is there after it was deleted.",
            hint="Allow these credentials to delete, or retention can't free any room.",
        )


def _put(store: Store) -> str:
    key = f"{OWN_FOLDER}probe-{secrets.token_hex(8)}.txt"
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "probe.txt"
        source.write_bytes(_CONTENT)
        store.put(key, source, sha256=sha256_of(source), content_type="text/plain")
    return key
