"""Checks of the store: how far one has come, and what it found. A killed one is taken up again."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, RowMapping, collate, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.elements import ColumnElement

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.ledger import workers
from asset_pipeline.ledger.access import LedgerAccess
from asset_pipeline.ledger.custody_schema import (
    CustodyAction,
    FsckOutcome,
    FsckPhase,
    FsckProblem,
    custody,
    fsck_findings,
    fsck_passes,
)
from asset_pipeline.ledger.engine import LedgerError
from asset_pipeline.ledger.records import Intent, intent_from
from asset_pipeline.ledger.schema import clips, intents, lineage

# What was found whole two days ago says little about today: a check that stood still for longer
# begins anew.
_STALE_AFTER = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class FsckPass:
    """One check, as far as it has come.

    Attributes:
        cursor: Keys up to this one, in byte order, are done in the phase.
        objects: Objects read so far.
        bytes: And their size.
    """

    pass_id: str
    store: str
    worker_id: str
    phase: FsckPhase
    cursor: str
    objects: int
    bytes: int
    started_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class CheckedObject:
    """What the ledger says of one object, by the newest clip that shares it.

    Attributes:
        is_lost: No clip of it counts as stored, because a check found it gone.
    """

    object_key: str
    object_uri: str
    sha256: str
    bytes: int
    clip_id: str
    intent_id: str
    kind: Kind
    prompt_id: str
    variant: int
    is_lost: bool


@dataclass(frozen=True, slots=True)
class FsckFinding:
    """One object on which ledger and store disagree."""

    object_key: str
    object_uri: str
    problem: FsckProblem
    expected: str | None
    found: str | None
    clip_id: str | None = None
    kind: Kind | None = None
    prompt_id: str | None = None
    variant: int | None = None
    outcome: FsckOutcome = FsckOutcome.REPORTED


class FsckRepository(LedgerAccess):
    """Remembers checks; every method is one transaction."""

    def begin(self, store: str, worker_id: str) -> FsckPass:
        """Take up the store's unfinished check, or begin one.

        Raises:
            LedgerError: Another process is at it.
        """
        with self._writing() as (connection, now):
            rows = connection.execute(
                select(fsck_passes)
                .where(fsck_passes.c.store == store, fsck_passes.c.finished_at.is_(None))
                .order_by(fsck_passes.c.started_at.desc())
                .limit(1)
            )
            row = rows.mappings().one_or_none()
            if row is not None and now - row["started_at"] < _STALE_AFTER:
                if workers.is_alive(connection, row["worker_id"], now):
                    raise LedgerError(
                        "Another process checks this store now.", hint="Wait until it is done."
                    )
                connection.execute(
                    update(fsck_passes)
                    .where(fsck_passes.c.pass_id == row["pass_id"])
                    .values(worker_id=worker_id)
                )
                return replace(_pass_from(row), worker_id=worker_id)
            begun = FsckPass(
                uuid.uuid4().hex, store, worker_id, FsckPhase.CLIPS, "", 0, 0, now, None
            )
            fields = {name: getattr(begun, name) for name in FsckPass.__slots__}
            connection.execute(insert(fsck_passes), fields | {"phase": begun.phase.value})
            return begun

    def expected(self, after: str, limit: int) -> list[CheckedObject]:
        """Return the objects that the ledger counts on, or once did and lost, in order of keys."""
        counts, key = _counts(), clips.c.object_key
        with self._reading() as connection:
            ordered = _in_bytes(connection, key)
            keys = connection.execute(
                select(key).where(counts, ordered > after).group_by(key).order_by(ordered)
                .limit(limit)
            )  # fmt: skip
            wanted = list(keys.scalars())
            rows = connection.execute(
                select(clips)
                .where(counts, key.in_(wanted))
                .order_by(clips.c.created_at, clips.c.clip_id)
            ).mappings()
            newest: dict[str, RowMapping] = {}
            held: set[str] = set()
            for row in rows:
                newest[row["object_key"]] = row
                if row["removed_at"] is None:
                    held.add(row["object_key"])
        return [_checked_from(newest[each], is_lost=each not in held) for each in wanted]

    def count_expected(self) -> tuple[int, int]:
        """Return how many objects the ledger counts on, and their bytes."""
        each = (
            select(clips.c.object_key, func.max(clips.c.bytes).label("bytes"))
            .where(_counts())
            .group_by(clips.c.object_key)
            .subquery()
        )
        query = select(func.count(), func.coalesce(func.sum(each.c.bytes), 0)).select_from(each)
        with self._reading() as connection:
            count, size = connection.execute(query).one()
        return count, int(size)

    def known(self, keys: Sequence[str], uris: Sequence[str]) -> set[str]:
        """Return those keys that clips count on, and those addresses that lineage derives.

        What retention deleted is not among them: should it be there, nothing counts on it.
        """
        with self._reading() as connection:
            of_clips = connection.execute(
                select(clips.c.object_key).where(clips.c.object_key.in_(keys), _counts())
            )
            derived = connection.execute(
                select(lineage.c.child_uri).where(
                    lineage.c.child_uri.in_(uris),
                    lineage.c.parent_type == "clip",
                    lineage.c.relation != "reused",
                )
            )
            return {*of_clips.scalars(), *derived.scalars()}

    def advance(self, at: FsckPass, findings: Iterable[FsckFinding]) -> None:
        """Note how far a check has come, with what it found on the way."""
        rows = [_row_of(at.pass_id, finding) for finding in findings]
        with self._writing() as (connection, now):
            workers.beat(connection, at.worker_id, now)
            if rows:
                statement = _INSERT_FINDING[connection.dialect.name]
                connection.execute(statement, [row | {"created_at": now} for row in rows])
            connection.execute(
                update(fsck_passes)
                .where(fsck_passes.c.pass_id == at.pass_id)
                .values(
                    phase=at.phase.value,
                    cursor=at.cursor,
                    objects=at.objects,
                    bytes=at.bytes,
                    finished_at=now if at.phase is FsckPhase.DONE else None,
                )
            )

    def resolve(self, at: FsckPass, key: str, outcome: FsckOutcome) -> None:
        """Note what was done about a finding."""
        with self._writing() as (connection, now):
            workers.beat(connection, at.worker_id, now)
            connection.execute(
                update(fsck_findings)
                .where(fsck_findings.c.pass_id == at.pass_id, fsck_findings.c.object_key == key)
                .values(outcome=outcome.value)
            )

    def paid_for(self, clip_id: str) -> tuple[Intent, str]:
        """Return the intent that paid for a clip's file, and the file's SHA-256."""
        query = (
            select(intents, clips.c.sha256)
            .join(clips, clips.c.intent_id == intents.c.intent_id)
            .where(clips.c.clip_id == clip_id)
        )
        with self._reading() as connection:
            row = connection.execute(query).mappings().one()
            return intent_from(row), row["sha256"]

    def findings(self, pass_id: str) -> list[FsckFinding]:
        """Return what a check found, in the order in which it did."""
        query = (
            select(fsck_findings)
            .where(fsck_findings.c.pass_id == pass_id)
            .order_by(fsck_findings.c.finding_id)
        )
        with self._reading() as connection:
            return [_finding_from(row) for row in connection.execute(query).mappings()]


def _counts() -> ColumnElement[bool]:
    """Clips that are stored, and those that were lost and may turn up again."""
    lost = (
        select(custody.c.entry_id)
        .where(
            custody.c.object_key == clips.c.object_key,
            custody.c.action == CustodyAction.LOSE.value,
            custody.c.created_at == clips.c.removed_at,
        )
        .exists()
    )
    return clips.c.removed_at.is_(None) | lost


def _in_bytes(connection: Connection, column: ColumnElement[str]) -> ColumnElement[str]:
    """Order text as stores do; Postgres would go by the words of a language."""
    return collate(column, "C") if connection.dialect.name == "postgresql" else column


def _pass_from(row: RowMapping) -> FsckPass:
    fields = {name: row[name] for name in FsckPass.__slots__}
    fields["phase"] = FsckPhase(row["phase"])
    return FsckPass(**fields)


def _checked_from(row: RowMapping, *, is_lost: bool) -> CheckedObject:
    fields = {name: row[name] for name in CheckedObject.__slots__ if name != "is_lost"}
    fields["kind"] = Kind(row["kind"])
    return CheckedObject(**fields, is_lost=is_lost)


def _finding_from(row: RowMapping) -> FsckFinding:
    fields = {name: row[name] for name in FsckFinding.__slots__}
    fields["problem"] = FsckProblem(row["problem"])
    fields["outcome"] = FsckOutcome(row["outcome"])
    fields["kind"] = None if row["kind"] is None else Kind(row["kind"])
    return FsckFinding(**fields)


def _row_of(pass_id: str, finding: FsckFinding) -> dict[str, object]:
    row: dict[str, object] = {name: getattr(finding, name) for name in FsckFinding.__slots__}
    return row | {
        "pass_id": pass_id,
        "problem": finding.problem.value,
        "outcome": finding.outcome.value,
        "kind": None if finding.kind is None else finding.kind.value,
    }


_INSERT_FINDING = {
    "sqlite": sqlite.insert(fsck_findings).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(fsck_findings).on_conflict_do_nothing(),
}
