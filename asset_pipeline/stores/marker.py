"""A small object that says which store this is and whose clips it holds.

A disk that is not mounted, another bucket or another prefix answers "not there" for every clip, as
a store does that lost them all. What tells the two apart is the marker: where it is missing,
nothing that is said of the clips counts.
"""

from __future__ import annotations

import json
import tempfile
import uuid
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, cast

from asset_pipeline.files import sha256_of
from asset_pipeline.stores.protocol import (
    ObjectNotFoundError,
    Store,
    StoreConflictError,
    StoreError,
)

OWN_FOLDER: Final = "asset-pipeline/"
"""The prefix of what the store keeps for itself: no clip, and never one that is too many."""

_LARGEST: Final = 1 << 16
_FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class StoreMarker:
    """Which store this is, and whose clips it holds.

    Attributes:
        store_id: Given when it was first used.
        ledger_id: The ledger whose clips it holds.
        created_at: When the marker was written, in UTC.
    """

    store_id: str
    ledger_id: str
    created_at: datetime


def marker_key(provider: str) -> str:
    """Return the key of the marker for a provider's ledger.

    The sandbox has a ledger of its own, and the two share a store where nobody separates them: each
    has its marker.
    """
    return f"{OWN_FOLDER}store-{provider}.json"


def new_marker(ledger_id: str, now: datetime) -> StoreMarker:
    """Return the marker of a store that a ledger uses from now on."""
    return StoreMarker(uuid.uuid4().hex, ledger_id, now)


def read_marker(store: Store, key: str) -> StoreMarker | None:
    """Return a store's marker; None when there is certainly none.

    Raises:
        StoreError: The store can't be read, or the marker is damaged: that says nothing about the
            clips.
    """
    content = bytearray()
    try:
        for block in store.read(key):
            content += block
            if len(content) > _LARGEST:
                break
    except ObjectNotFoundError:
        return None
    try:
        fields = cast("dict[str, Any]", json.loads(content))
        return StoreMarker(
            str(fields["store_id"]),
            str(fields["ledger_id"]),
            datetime.fromisoformat(fields["created_at"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{store.uri(key)} is no marker of a store that this release can read.",
            hint="Nothing is said of the store's clips without it. Put the marker back from a "
            "copy, or run `asset-pipeline store adopt` if this is the right store.",
        ) from error


def write_marker(store: Store, key: str, marker: StoreMarker) -> StoreMarker:
    """Write a store's marker, unless another process has; return the one that is there.

    Raises:
        StoreError: The store does not take it.
    """
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "marker.json"
        source.write_text(_text_of(marker), encoding="utf-8")
        try:
            store.put(key, source, sha256=sha256_of(source), content_type="application/json")
        except StoreConflictError:
            return read_marker(store, key) or marker
    return marker


def replace_marker(store: Store, key: str, marker: StoreMarker) -> None:
    """Write a marker in the place of the one that is there.

    Raises:
        StoreError: The store does not take it.
    """
    store.delete(key)
    write_marker(store, key, marker)


def _text_of(marker: StoreMarker) -> str:
    document = {
        "about": "asset-pipeline wrote this when it first used this place for clips. It is how a "
        "store is told from an empty folder: leave it here, and take it along when you move the "
        "clips.",
        "format": _FORMAT,
        "store_id": marker.store_id,
        "ledger_id": marker.ledger_id,
        "created_at": marker.created_at.isoformat(),
    }
    return json.dumps(document, indent=1) + "\n"
