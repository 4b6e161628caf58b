"""The ledger's identity and its stored clips, to compare with a store's marker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, func, select

from asset_pipeline.ledger.access import LedgerAccess
from asset_pipeline.ledger.engine import LedgerError
from asset_pipeline.ledger.schema import clips, ledger_identity


@dataclass(frozen=True, slots=True)
class LedgerIdentity:
    """Which ledger this is.

    Attributes:
        ledger_id: Given when it was made; copies and backups have it too.
        provider: Whose payments it holds; empty until the first one.
    """

    ledger_id: str
    provider: str


@dataclass(frozen=True, slots=True)
class RecordedObject:
    """A stored clip's place, as the ledger has it."""

    object_key: str
    object_uri: str


class IdentityRepository(LedgerAccess):
    """Says which ledger this is and what it holds; every method is one transaction."""

    def identity(self) -> LedgerIdentity:
        """Return which ledger this is."""
        query = select(ledger_identity.c.ledger_id, ledger_identity.c.provider)
        with self._reading() as connection:
            row = connection.execute(query).one()
        return LedgerIdentity(row.ledger_id, row.provider)

    def has_clips(self) -> bool:
        """Tell whether a clip was ever recorded, whatever became of it."""
        with self._reading() as connection:
            return connection.execute(select(clips.c.clip_id).limit(1)).first() is not None

    def count_held(self) -> int:
        """Return how many clips count as stored, wherever they are."""
        query = select(func.count()).select_from(clips).where(clips.c.removed_at.is_(None))
        with self._reading() as connection:
            return connection.execute(query).scalar_one()

    def sample(self, prefix: str, size: int) -> list[RecordedObject]:
        """Return some of the clips that count as stored under an address, old ones and new ones.

        Args:
            prefix: What the addresses begin with; empty for clips wherever they are.
            size: At most so many.
        """
        held = select(clips.c.object_key, clips.c.object_uri).where(clips.c.removed_at.is_(None))
        if prefix:
            held = held.where(clips.c.object_uri.startswith(prefix, autoescape=True))
        oldest = held.order_by(clips.c.created_at, clips.c.clip_id).limit(size // 2)
        newest = held.order_by(clips.c.created_at.desc(), clips.c.clip_id).limit(size - size // 2)
        return list(dict.fromkeys([*self._recorded(oldest), *self._recorded(newest)]))

    def _recorded(self, query: Select[Any, Any]) -> list[RecordedObject]:
        with self._reading() as connection:
            return [
                RecordedObject(row.object_key, row.object_uri) for row in connection.execute(query)
            ]


class HeldIdentity:
    """Remembers the ledger's identity, to notice when it is replaced."""

    def __init__(self) -> None:
        self._ledger_id: str | None = None

    def check(self, connection: Connection) -> None:
        """Make sure that this is the ledger that it was the first time.

        Raises:
            LedgerError: It is another one, such as a copy that was written over it.
        """
        found = connection.execute(_ID).scalar()
        if self._ledger_id is None:
            self._ledger_id = found
        elif found != self._ledger_id:
            raise LedgerError(
                "Another ledger has taken the place of the one that this process began with. It "
                "stops here, and pays for nothing more.",
                hint="Put the ledger back before anything is generated; then `asset-pipeline audit "
                "--orphans` finds what was paid for and is not in it.",
            )


# Built once: building a statement costs as much as SQLite needs to run it.
_ID = select(ledger_identity.c.ledger_id)
