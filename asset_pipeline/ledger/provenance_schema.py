"""The ledger's tables of what files say of themselves, and of what clips look and sound like."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import Column, ForeignKey, Index, String, Table, Text, UniqueConstraint

from asset_pipeline.ledger.column_types import RowId, UtcDateTime, metadata, one_of


class ProvenanceRole(StrEnum):
    """What a file is to its clip."""

    ORIGINAL = "original"
    RENDITION = "rendition"
    EXPORT = "export"
    SIDECAR = "sidecar"  # a manifest that lies beside another file


class SignedBy(StrEnum):
    """Whose signature a file has."""

    US = "us"
    PROVIDER = "provider"
    NOBODY = "nobody"


# One row a file; a file that is written anew at its place takes the row of the one before.
provenance = Table(
    "provenance",
    metadata,
    Column("entry_id", RowId, primary_key=True, autoincrement=True),
    Column("uri", Text, nullable=False),
    Column("object_key", Text),  # NULL for what is not in the store
    Column("sha256", String(64), nullable=False),
    Column("role", String(16), nullable=False),
    Column("clip_id", String(32), ForeignKey("clips.clip_id"), nullable=False),
    Column("clip_sha256", String(64), nullable=False),
    Column("policy", String(100), nullable=False),
    Column("marks", String(100), nullable=False),  # kinds, such as "c2pa exif xmp"
    Column("digital_source_type", Text, nullable=False),
    Column("signed_by", String(16), nullable=False),
    Column("signer", Text, nullable=False),
    Column("certificate_sha256", String(64), nullable=False),
    Column("note", Text, nullable=False),
    Column("run_id", String(64), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    one_of("role", ProvenanceRole),
    one_of("signed_by", SignedBy),
    UniqueConstraint("uri"),
    Index("ix_provenance_sha256", "sha256"),
    Index("ix_provenance_clip_sha256", "clip_sha256"),
)

# What a clip looks or sounds like: by it a copy without marks is found again.
fingerprints = Table(
    "fingerprints",
    metadata,
    Column("clip_sha256", String(64), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("method", String(16), nullable=False),
    Column("value", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Index("ix_fingerprints_method", "method"),
)
