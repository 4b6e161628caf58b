"""Uploaded files: their bytes in a folder, what is known of them in the state, for one day."""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from asset_pipeline.files import atomic_path
from asset_pipeline.sandbox.state import MICROSECONDS, State

LIFE_US = 24 * 3600 * MICROSECONDS
PAGE = 100


@dataclass(frozen=True, slots=True)
class Description:
    """What a client says of a file that it sends.

    Args:
        account: Whose token it came with.
        metadata: The client's own; kept and given back.
    """

    account: str
    name: str
    content_type: str
    metadata: dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Upload:
    """One file that was taken in.

    Args:
        number: Place in the order of arrival.
        created_us: Microseconds since 1970 on the server's clock.
    """

    number: int
    id: str
    name: str
    content_type: str
    bytes: int
    sha256: str
    metadata: dict[str, JsonValue]
    created_us: int


@dataclass(frozen=True, slots=True)
class UploadPage:
    """A hundred uploads at most, newest first, and where the pages beside them begin.

    Args:
        older: Number of the upload that the next page comes after; None when there is none.
        newer: Number of the upload that the previous page comes before; None likewise.
    """

    uploads: list[Upload]
    older: int | None
    newer: int | None


class UploadRepository:
    """The uploads of one state."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._folder = state.state_dir / "uploads"

    async def add(self, description: Description, chunks: AsyncIterator[bytes]) -> Upload:
        """Keep a file; one whose sender breaks off is not kept."""
        upload_id = secrets.token_hex(16)
        digest, size = hashlib.sha256(), 0
        with atomic_path(self.path(upload_id), private=True) as path, path.open("wb") as file:
            async for chunk in chunks:
                digest.update(chunk)
                size += len(chunk)
                file.write(chunk)
        row = self._state.connection.execute(
            "INSERT INTO uploads (id, name, content_type, bytes, sha256, metadata, created_us,"
            " account) VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING rowid AS number, *",
            (
                upload_id,
                description.name,
                description.content_type,
                size,
                digest.hexdigest(),
                json.dumps(description.metadata),
                self._state.now_us(),
                description.account,
            ),
        ).fetchone()
        return _from_row(row)

    def find(self, account: str, upload_id: str) -> Upload | None:
        """Return an account's upload, None when it has none of this id, or its day is over."""
        row = self._state.connection.execute(
            "SELECT rowid AS number, * FROM uploads"
            " WHERE id = ? AND account = ? AND created_us > ?",
            (upload_id, account, self._state.now_us() - LIFE_US),
        ).fetchone()
        return None if row is None else _from_row(row)

    def page(self, account: str, *, older_than: int | None, newer_than: int | None) -> UploadPage:
        """Return a page of an account's uploads: the newest, or those beside a number."""
        order, bound = ("DESC", older_than) if newer_than is None else ("ASC", newer_than)
        beyond = "" if bound is None else f" AND rowid {'<' if order == 'DESC' else '>'} :bound"
        rows = self._state.connection.execute(
            "SELECT rowid AS number, * FROM uploads"  # noqa: S608 -- fixed words, bound values
            f" WHERE account = :account AND created_us > :since{beyond}"
            f" ORDER BY rowid {order} LIMIT {PAGE + 1}",
            {"account": account, "since": self._state.now_us() - LIFE_US, "bound": bound},
        ).fetchall()
        found, more = [_from_row(row) for row in rows[:PAGE]], len(rows) > PAGE
        if not found:
            return UploadPage([], None, None)
        if order == "ASC":
            found.reverse()
        older = found[-1].number if more or order == "ASC" else None
        newer = found[0].number if (more if order == "ASC" else bound is not None) else None
        return UploadPage(found, older, newer)

    def remove(self, upload: Upload) -> None:
        """Forget an upload and its bytes."""
        self._state.connection.execute("DELETE FROM uploads WHERE id = ?", (upload.id,))
        self.path(upload.id).unlink(missing_ok=True)

    def path(self, upload_id: str) -> Path:
        """Return where an upload's bytes are."""
        return self._folder / upload_id


def _from_row(row: sqlite3.Row) -> Upload:
    return Upload(
        number=row["number"],
        id=row["id"],
        name=row["name"],
        content_type=row["content_type"],
        bytes=row["bytes"],
        sha256=row["sha256"],
        metadata=_metadata(row["metadata"]),
        created_us=row["created_us"],
    )


def _metadata(text: str) -> dict[str, JsonValue]:
    """Return an upload's metadata; what an earlier release took unread may be none."""
    try:
        value: JsonValue = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
