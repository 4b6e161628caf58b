"""Files that were uploaded for prompts to start from: whose they are, and until when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, func, insert, select, update

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.ledger.access import LedgerAccess
from asset_pipeline.ledger.service_schema import uploads


class QuotaExceededError(AssetPipelineError):
    """An owner's files take as much room as they may."""


@dataclass(frozen=True, slots=True)
class Upload:
    """One row of ``uploads``."""

    file_id: str
    owner: str
    kind: Kind
    mime: str
    extension: str
    bytes: int
    sha256: str
    width: int | None
    height: int | None
    created_at: datetime
    expires_at: datetime
    removed_at: datetime | None = None


class Uploads(LedgerAccess):
    """All uploaded files; every method is one transaction."""

    def used(self, owner: str) -> int:
        """Return how many bytes an owner's files take."""
        with self._reading() as connection:
            return int(connection.execute(_used(owner)).scalar_one())

    def add(self, upload: Upload, quota: int) -> None:
        """Enter a file.

        Raises:
            QuotaExceededError: The owner's files would take more than ``quota`` bytes.
        """
        with self._writing() as (connection, _):
            used = int(connection.execute(_used(upload.owner)).scalar_one())
            if used + upload.bytes > quota:
                raise QuotaExceededError(
                    f"Your files take {used:,} bytes, and {quota:,} are allowed.",
                    hint="Delete some, or wait until they expire.",
                )
            row: dict[str, Any] = {name: getattr(upload, name) for name in Upload.__slots__}
            connection.execute(insert(uploads).values(row | {"kind": upload.kind.value}))

    def get(self, file_id: str) -> Upload | None:
        """Return a file that is still kept; None if there is none."""
        query = select(uploads).where(uploads.c.file_id == file_id, uploads.c.removed_at.is_(None))
        with self._reading() as connection:
            row = connection.execute(query).mappings().one_or_none()
        return None if row is None else _from_row(row)

    def of_owner(self, owner: str | None, limit: int) -> list[Upload]:
        """Return files, the newest first; everybody's without an owner."""
        query = select(uploads).where(uploads.c.removed_at.is_(None))
        if owner is not None:
            query = query.where(uploads.c.owner == owner)
        with self._reading() as connection:
            rows = connection.execute(query.order_by(uploads.c.created_at.desc()).limit(limit))
            return [_from_row(row) for row in rows.mappings()]

    def remove(self, file_id: str) -> None:
        """Note that a file is gone."""
        with self._writing() as (connection, now):
            connection.execute(
                update(uploads)
                .where(uploads.c.file_id == file_id, uploads.c.removed_at.is_(None))
                .values(removed_at=now)
            )

    def expired(self) -> list[Upload]:
        """Return the files whose time is over."""
        query = select(uploads).where(
            uploads.c.removed_at.is_(None), uploads.c.expires_at < self._clock.now()
        )
        with self._reading() as connection:
            return [_from_row(row) for row in connection.execute(query).mappings()]


def _used(owner: str) -> Any:  # noqa: ANN401 -- a statement
    return select(func.coalesce(func.sum(uploads.c.bytes), 0)).where(
        uploads.c.owner == owner, uploads.c.removed_at.is_(None)
    )


def _from_row(row: RowMapping) -> Upload:
    fields: dict[str, Any] = {name: row[name] for name in Upload.__slots__}
    fields["kind"] = Kind(row["kind"])
    return Upload(**fields)
