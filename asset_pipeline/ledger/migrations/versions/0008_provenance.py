"""Provenance: what files say of themselves, and what clips look and sound like."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_ROLES = "'original', 'rendition', 'export', 'sidecar'"
_SIGNERS = "'us', 'provider', 'nobody'"


def upgrade() -> None:
    op.add_column(
        "exports",
        sa.Column("recipe", sa.String(length=32), server_default=sa.text("''"), nullable=False),
    )
    op.create_table(
        "provenance",
        sa.Column(
            "entry_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("object_key", sa.Text(), nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("clip_id", sa.String(length=32), nullable=False),
        sa.Column("clip_sha256", sa.String(length=64), nullable=False),
        sa.Column("policy", sa.String(length=100), nullable=False),
        sa.Column("marks", sa.String(length=100), nullable=False),
        sa.Column("digital_source_type", sa.Text(), nullable=False),
        sa.Column("signed_by", sa.String(length=16), nullable=False),
        sa.Column("signer", sa.Text(), nullable=False),
        sa.Column("certificate_sha256", sa.String(length=64), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(f"role IN ({_ROLES})", name=op.f("ck_provenance_role_known")),
        sa.CheckConstraint(
            f"signed_by IN ({_SIGNERS})", name=op.f("ck_provenance_signed_by_known")
        ),
        sa.ForeignKeyConstraint(["clip_id"], ["clips.clip_id"], name=op.f("fk_provenance_clip_id")),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_provenance")),
        sa.UniqueConstraint("uri", name=op.f("uq_provenance_uri")),
    )
    op.create_index("ix_provenance_sha256", "provenance", ["sha256"])
    op.create_index("ix_provenance_clip_sha256", "provenance", ["clip_sha256"])
    op.create_table(
        "fingerprints",
        sa.Column("clip_sha256", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("method", sa.String(length=16), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("clip_sha256", name=op.f("pk_fingerprints")),
    )
    op.create_index("ix_fingerprints_method", "fingerprints", ["method"])


def downgrade() -> None:
    op.drop_table("fingerprints")
    op.drop_table("provenance")
    op.drop_column("exports", "recipe")
