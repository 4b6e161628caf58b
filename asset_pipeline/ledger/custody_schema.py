"""The ledger's tables of what is kept: what was approved, lost, deleted, checked and exported."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from asset_pipeline.ledger.column_types import RowId, UtcDateTime, metadata, one_of


class CustodyAction(StrEnum):
    """What was done about a stored clip."""

    APPROVE = "approve"  # a person wants it kept, whatever the rules say
    UNAPPROVE = "unapprove"
    LOSE = "lose"  # a check found its object missing or damaged, and nothing to mend it with
    RESTORE = "restore"  # an object that was lost is there again, and whole
    DELETE = "delete"  # decided: the clip no longer counts, its object is removed next
    DELETED = "deleted"  # done: the store has confirmed it


class FsckProblem(StrEnum):
    """How ledger and store disagree about one object."""

    MISSING = "missing"  # the ledger counts it, the store has none
    SIZE = "size"
    SHA256 = "sha256"
    UNREADABLE = "unreadable"  # the store has it and could not deliver it
    ELSEWHERE = "elsewhere"  # it was stored in another store than this one
    EXTRA = "extra"  # the store has it, the ledger knows of none


class FsckOutcome(StrEnum):
    """What was done about a finding."""

    REPORTED = "reported"
    REPAIRED = "repaired"  # fetched again from the provider
    LOST = "lost"  # its clips no longer count as stored
    RESTORED = "restored"  # it was lost, and is whole again


class FsckPhase(StrEnum):
    """How far a check has come."""

    CLIPS = "clips"
    EXTRAS = "extras"
    DONE = "done"


# Append-only: rows are added and never changed. An object that several clips share has one row,
# with the newest of them.
custody = Table(
    "custody",
    metadata,
    Column("entry_id", RowId, primary_key=True, autoincrement=True),
    Column("action", String(16), nullable=False),
    Column("clip_id", String(32), ForeignKey("clips.clip_id"), nullable=False),
    Column("object_key", Text, nullable=False),
    Column("object_uri", Text, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("reason", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    one_of("action", CustodyAction),
    Index("ix_custody_object", "object_key", "entry_id"),
    Index("ix_custody_action", "action", "entry_id"),
)

# What is at each place that something was exported to, as of the last export that wrote it.
exports = Table(
    "exports",
    metadata,
    Column("export_id", RowId, primary_key=True, autoincrement=True),
    Column("target", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("clip_id", String(32), ForeignKey("clips.clip_id"), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    # How it was marked; empty for a plain copy.
    Column("recipe", String(32), nullable=False, server_default=text("''")),
    Column("exported_at", UtcDateTime, nullable=False),
    UniqueConstraint("target", "path"),
)

fsck_passes = Table(
    "fsck_passes",
    metadata,
    Column("pass_id", String(32), primary_key=True),
    Column("store", Text, nullable=False),
    Column("worker_id", String(32), nullable=False),
    Column("phase", String(16), nullable=False),
    Column("cursor", Text, nullable=False),  # all keys of the phase up to this one are done
    Column("objects", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    one_of("phase", FsckPhase),
)

fsck_findings = Table(
    "fsck_findings",
    metadata,
    Column("finding_id", RowId, primary_key=True, autoincrement=True),
    Column("pass_id", String(32), ForeignKey("fsck_passes.pass_id"), nullable=False),
    Column("object_key", Text, nullable=False),
    Column("object_uri", Text, nullable=False),
    Column("clip_id", String(32), ForeignKey("clips.clip_id")),  # NULL for an extra object
    Column("kind", String(16)),
    Column("prompt_id", String(100)),
    Column("variant", Integer),
    Column("problem", String(16), nullable=False),
    Column("expected", Text),
    Column("found", Text),
    Column("outcome", String(16), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    one_of("problem", FsckProblem),
    one_of("outcome", FsckOutcome),
    UniqueConstraint("pass_id", "object_key"),
)
