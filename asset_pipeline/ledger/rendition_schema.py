"""The ledger's table of renditions: what was derived from a clip, for nothing."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, ForeignKey, Index, Integer, String, Table, Text
from sqlalchemy import text as sql

from asset_pipeline.ledger.column_types import UtcDateTime, metadata

renditions = Table(
    "renditions",
    metadata,
    Column("rendition_id", String(32), primary_key=True),
    Column("clip_id", String(32), ForeignKey("clips.clip_id"), nullable=False),
    # The file it was made from: another clip with the same file has the same renditions.
    Column("clip_sha256", String(64), nullable=False),
    Column("name", String(32), nullable=False),
    Column("recipe", String(100), nullable=False),  # all of the setting that decides the file
    Column("object_key", Text, nullable=False),
    Column("object_uri", Text, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("mime", String(64), nullable=False),
    Column("width", Integer),
    Column("height", Integer),
    Column("duration_seconds", Float),
    # Measured in the file itself; NULL for pictures, and where it is too quiet to be measured.
    Column("loudness_lufs", Float),
    Column("true_peak_dbtp", Float),
    Column("gain_db", Float),
    Column("note", Text, nullable=False),
    Column("run_id", String(64), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("superseded_at", UtcDateTime),
    Index(
        "uq_renditions_current",
        "clip_id",
        "name",
        unique=True,
        sqlite_where=sql("superseded_at IS NULL"),
        postgresql_where=sql("superseded_at IS NULL"),
    ),
    Index("ix_renditions_source", "clip_sha256", "recipe"),
)
