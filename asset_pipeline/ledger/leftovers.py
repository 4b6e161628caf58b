"""Renditions whose original clip was deleted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import bindparam, delete, select

from asset_pipeline.ledger.access import LedgerAccess
from asset_pipeline.ledger.custody_schema import CustodyAction, custody
from asset_pipeline.ledger.rendition_schema import renditions
from asset_pipeline.ledger.schema import clips


@dataclass(frozen=True, slots=True)
class Leftover:
    """A rendition of a file that retention deleted.

    Attributes:
        is_shared: Another rendition, of a file that is still stored, is the same object.
    """

    rendition_id: str
    object_key: str
    is_shared: bool


class LeftoverRepository(LedgerAccess):
    """Finds renditions whose original was deleted; every method is one transaction."""

    def leftovers(self) -> list[Leftover]:
        """Return the renditions of deleted files; those of lost ones are all that is left of them.

        A file that landed again since is stored, and keeps its renditions.
        """
        deleted = select(custody.c.sha256).where(custody.c.action == CustodyAction.DELETED.value)
        stored = select(clips.c.sha256).where(clips.c.removed_at.is_(None))
        gone = renditions.c.clip_sha256.in_(deleted) & renditions.c.clip_sha256.not_in(stored)
        with self._reading() as connection:
            kept = select(renditions.c.object_key).where(~gone)
            needed = set(connection.execute(kept.distinct()).scalars())
            rows = connection.execute(
                select(renditions.c.rendition_id, renditions.c.object_key).where(gone)
            )
            return [
                Leftover(row.rendition_id, row.object_key, row.object_key in needed) for row in rows
            ]

    def forget(self, leftovers: Iterable[Leftover]) -> None:
        """Take renditions off the record; their lineage stays."""
        rows = [{"of_rendition": each.rendition_id} for each in leftovers]
        if rows:
            with self._writing() as (connection, _):
                connection.execute(
                    delete(renditions).where(
                        renditions.c.rendition_id == bindparam("of_rendition")
                    ),
                    rows,
                )
