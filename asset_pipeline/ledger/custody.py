"""The ledger's side of keeping clips: approvals, deletions, losses, and what they leave behind.

Every change of what counts as stored is one transaction with its row in ``custody``, which is only
ever added to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, func, insert, select, update

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.chunks import chunks
from asset_pipeline.ledger.clip_finder import ClipFinder
from asset_pipeline.ledger.clips import add_lineage
from asset_pipeline.ledger.custody_schema import CustodyAction, custody
from asset_pipeline.ledger.engine import LedgerError
from asset_pipeline.ledger.records import Clip, Parent, clip_from
from asset_pipeline.ledger.schema import clips

# SQLite takes 32,766 parameters a statement, Postgres 65,535.
_VALUES_A_QUERY = 5000


@dataclass(frozen=True, slots=True)
class HeldClip:
    """What decides whether a stored clip is kept; 100,000 of them fit in memory."""

    clip_id: str
    kind: Kind
    prompt_id: str
    collection: str
    variant: int
    object_key: str
    bytes: int
    created_at: datetime
    superseded_at: datetime | None
    approved_at: datetime | None
    used_at: datetime | None


Protected = Callable[[HeldClip], bool]


class CustodyRepository(ClipFinder):
    """Approvals, deletions and losses of clips; every method is one transaction."""

    def held(self) -> list[HeldClip]:
        """Return every clip that counts as stored, by its object."""
        with self._reading() as connection:
            rows = connection.execute(_HELD.order_by(clips.c.object_key)).mappings()
            return [_held_from(row) for row in rows]

    def approve(self, found: Iterable[Clip], *, actor: str, reason: str) -> int:
        """Keep clips whatever the rules say; return how many were not approved yet."""
        return self._set_approval(found, actor, reason, approved=True)

    def unapprove(self, found: Iterable[Clip], *, actor: str, reason: str) -> int:
        """Take approvals back; return how many clips were approved."""
        return self._set_approval(found, actor, reason, approved=False)

    def touch(self, clip_ids: Iterable[str]) -> None:
        """Note that clips were used just now: the least recently used go first."""
        with self._writing() as (connection, now):
            for chunk in chunks(clip_ids, _VALUES_A_QUERY):
                connection.execute(
                    update(clips).where(clips.c.clip_id.in_(chunk)).values(used_at=now)
                )

    def decide(
        self, doomed: Iterable[tuple[str, str]], protected: Protected, *, actor: str
    ) -> list[str]:
        """Decide deletions: from here on the clips don't count as stored.

        Args:
            doomed: Object keys, each with the reason.
            protected: Tells which clips are kept; asked again here, because a clip may have been
                approved, or become a prompt's current one, since the rules were applied.
            actor: Who deletes.

        Returns:
            The keys that may be removed from the store now.
        """
        decided: list[str] = []
        with self._writing() as (connection, now):
            for key, reason in doomed:
                found = _stored_under(connection, key)
                if found and not any(protected(_held_from(row)) for row in found):
                    _enter(connection, CustodyAction.DELETE, found[-1], actor, reason, now)
                    _remove(connection, key, now)
                    decided.append(key)
        return decided

    def undone(self) -> list[str]:
        """Return the keys whose deletion was decided and never confirmed."""
        last = (
            select(func.max(custody.c.entry_id))
            .where(custody.c.action.in_([CustodyAction.DELETE.value, CustodyAction.DELETED.value]))
            .group_by(custody.c.object_key)
        )
        query = select(custody.c.object_key).where(
            custody.c.entry_id.in_(last), custody.c.action == CustodyAction.DELETE.value
        )
        with self._reading() as connection:
            return list(connection.execute(query.order_by(custody.c.entry_id)).scalars())

    def confirm(self, keys: Iterable[str], *, actor: str) -> int:
        """Enter deletions as done, here and in the lineage; return the bytes that are free."""
        freed = 0
        with self._writing() as (connection, now):
            for key in keys:
                decision = _last_decision(connection, key)
                if decision is None:
                    continue
                entry_id = _enter(
                    connection,
                    CustodyAction.DELETED,
                    decision,
                    actor,
                    decision["reason"],
                    now,
                )
                parent = Parent("deletion", str(entry_id), None, "deleted")
                uri, sha256 = decision["object_uri"], decision["sha256"]
                run_id = f"custody-{entry_id}"
                add_lineage(connection, uri, sha256, [parent], run_id=run_id, now=now)
                freed += decision["bytes"]
        return freed

    def lose(self, key: str, *, actor: str, reason: str) -> list[Clip]:
        """Count an object's clips as lost; return them, none if they did not count anyway."""
        with self._writing() as (connection, now):
            found = _stored_under(connection, key)
            if found:
                _enter(connection, CustodyAction.LOSE, found[-1], actor, reason, now)
                _remove(connection, key, now)
            return [clip_from(row) for row in found]

    def restore(self, key: str, *, actor: str, reason: str) -> int:
        """Count a lost object's clips as stored again; return how many they are."""
        with self._writing() as (connection, now):
            last = connection.execute(
                select(custody).where(custody.c.object_key == key).order_by(_NEWEST_ENTRY).limit(1)
            )
            row = last.mappings().one_or_none()
            if row is None or row["action"] != CustodyAction.LOSE.value:
                return 0
            _enter(connection, CustodyAction.RESTORE, row, actor, reason, now)
            restored = connection.execute(
                update(clips)
                .where(clips.c.object_key == key, clips.c.removed_at == row["created_at"])
                .values(removed_at=None)
            )
            return restored.rowcount

    def vacant(self) -> frozenset[tuple[Kind, str, int]]:
        """Return the places whose current clip was removed: kind, prompt id and variant."""
        query = select(clips.c.kind, clips.c.prompt_id, clips.c.variant).where(
            clips.c.superseded_at.is_(None), clips.c.removed_at.is_not(None)
        )
        with self._reading() as connection:
            return frozenset(
                (Kind(kind), prompt_id, variant)
                for kind, prompt_id, variant in connection.execute(query)
            )

    def _set_approval(
        self, found: Iterable[Clip], actor: str, reason: str, *, approved: bool
    ) -> int:
        action = CustodyAction.APPROVE if approved else CustodyAction.UNAPPROVE
        changed = 0
        with self._writing() as (connection, now):
            for clip in found:
                row = connection.execute(
                    select(clips).where(
                        clips.c.clip_id == clip.clip_id, clips.c.removed_at.is_(None)
                    )
                )
                now_there = row.mappings().one_or_none()
                if now_there is None:
                    raise LedgerError(
                        f"Clip {clip.clip_id} was removed from the store.",
                        hint="`asset-pipeline generate` makes it again if its prompt wants it.",
                    )
                if (now_there["approved_at"] is not None) is approved:
                    continue
                connection.execute(
                    update(clips)
                    .where(clips.c.clip_id == clip.clip_id)
                    .values(approved_at=now if approved else None)
                )
                _enter(connection, action, now_there, actor, reason, now)
                changed += 1
        return changed


def _stored_under(connection: Connection, key: str) -> Sequence[RowMapping]:
    """Return the rows of an object's clips that count as stored, the newest last."""
    rows = connection.execute(
        select(clips)
        .where(clips.c.object_key == key, clips.c.removed_at.is_(None))
        .order_by(clips.c.created_at, clips.c.clip_id)
    )
    return rows.mappings().all()


def _last_decision(connection: Connection, key: str) -> RowMapping | None:
    """Return an object's last deletion if it is not confirmed."""
    actions = [CustodyAction.DELETE.value, CustodyAction.DELETED.value]
    rows = connection.execute(
        select(custody)
        .where(custody.c.object_key == key, custody.c.action.in_(actions))
        .order_by(_NEWEST_ENTRY)
        .limit(1)
    )
    row = rows.mappings().one_or_none()
    return row if row is not None and row["action"] == CustodyAction.DELETE.value else None


def _enter(
    connection: Connection,
    action: CustodyAction,
    of: RowMapping,
    actor: str,
    reason: str,
    now: datetime,
) -> int:
    """Add a row about a clip, or about the object of an earlier row; return its id."""
    row: dict[str, Any] = {
        "action": action.value,
        "actor": actor[:200],
        "reason": reason,
        "created_at": now,
    }
    for name in ("clip_id", "object_key", "object_uri", "sha256", "bytes"):
        row[name] = of[name]
    inserted = connection.execute(insert(custody).returning(custody.c.entry_id), row)
    return inserted.scalar_one()


def _remove(connection: Connection, key: str, now: datetime) -> None:
    connection.execute(
        update(clips)
        .where(clips.c.object_key == key, clips.c.removed_at.is_(None))
        .values(removed_at=now)
    )


def _held_from(row: RowMapping) -> HeldClip:
    fields = {name: row[name] for name in HeldClip.__slots__}
    fields["kind"] = Kind(row["kind"])
    return HeldClip(**fields)


_HELD = select(*(clips.c[name] for name in HeldClip.__slots__)).where(clips.c.removed_at.is_(None))
_NEWEST_ENTRY = custody.c.entry_id.desc()
