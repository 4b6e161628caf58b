"""What is kept: approvals, deletions and losses, checks of the store, exports."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
ACTIONS = "'approve', 'unapprove', 'lose', 'restore', 'delete', 'deleted'"
PROBLEMS = "'missing', 'size', 'sha256', 'unreadable', 'elsewhere', 'extra'"


def upgrade() -> None:
    for name in ("approved_at", "used_at", "removed_at"):
        op.add_column("clips", sa.Column(name, sa.DateTime(timezone=True), nullable=True))
    op.create_index("ix_clips_object", "clips", ["object_key"], unique=False)
    op.create_table(
        "custody",
        sa.Column("entry_id", ROW_ID, autoincrement=True, nullable=False),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("clip_id", sa.String(length=32), nullable=False),
        sa.Column("object_key", sa.Text(), nullable=False),
        sa.Column("object_uri", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(f"action IN ({ACTIONS})", name=op.f("ck_custody_action_known")),
        sa.ForeignKeyConstraint(["clip_id"], ["clips.clip_id"], name=op.f("fk_custody_clip_id")),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_custody")),
    )
    op.create_index("ix_custody_object", "custody", ["object_key", "entry_id"], unique=False)
    op.create_index("ix_custody_action", "custody", ["action", "entry_id"], unique=False)
    op.create_table(
        "exports",
        sa.Column("export_id", ROW_ID, autoincrement=True, nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("clip_id", sa.String(length=32), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("exported_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["clip_id"], ["clips.clip_id"], name=op.f("fk_exports_clip_id")),
        sa.PrimaryKeyConstraint("export_id", name=op.f("pk_exports")),
        sa.UniqueConstraint("target", "path", name=op.f("uq_exports_target_path")),
    )
    _create_fsck()


def _create_fsck() -> None:
    op.create_table(
        "fsck_passes",
        sa.Column("pass_id", sa.String(length=32), nullable=False),
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("worker_id", sa.String(length=32), nullable=False),
        sa.Column("phase", sa.String(length=16), nullable=False),
        sa.Column("cursor", sa.Text(), nullable=False),
        sa.Column("objects", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "phase IN ('clips', 'extras', 'done')", name=op.f("ck_fsck_passes_phase_known")
        ),
        sa.PrimaryKeyConstraint("pass_id", name=op.f("pk_fsck_passes")),
    )
    op.create_table(
        "fsck_findings",
        sa.Column("finding_id", ROW_ID, autoincrement=True, nullable=False),
        sa.Column("pass_id", sa.String(length=32), nullable=False),
        sa.Column("object_key", sa.Text(), nullable=False),
        sa.Column("object_uri", sa.Text(), nullable=False),
        sa.Column("clip_id", sa.String(length=32), nullable=True),
        sa.Column("kind", sa.String(length=16), nullable=True),
        sa.Column("prompt_id", sa.String(length=100), nullable=True),
        sa.Column("variant", sa.Integer(), nullable=True),
        sa.Column("problem", sa.String(length=16), nullable=False),
        sa.Column("expected", sa.Text(), nullable=True),
        sa.Column("found", sa.Text(), nullable=True),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(f"problem IN ({PROBLEMS})", name=op.f("ck_fsck_findings_problem_known")),
        sa.CheckConstraint(
            "outcome IN ('reported', 'repaired', 'lost', 'restored')",
            name=op.f("ck_fsck_findings_outcome_known"),
        ),
        sa.ForeignKeyConstraint(
            ["clip_id"], ["clips.clip_id"], name=op.f("fk_fsck_findings_clip_id")
        ),
        sa.ForeignKeyConstraint(
            ["pass_id"], ["fsck_passes.pass_id"], name=op.f("fk_fsck_findings_pass_id")
        ),
        sa.PrimaryKeyConstraint("finding_id", name=op.f("pk_fsck_findings")),
        sa.UniqueConstraint(
            "pass_id", "object_key", name=op.f("uq_fsck_findings_pass_id_object_key")
        ),
    )


def downgrade() -> None:
    for table in ("fsck_findings", "fsck_passes", "exports", "custody"):
        op.drop_table(table)
    op.drop_index("ix_clips_object", "clips")
    with op.batch_alter_table("clips") as batch_op:
        for name in ("removed_at", "used_at", "approved_at"):
            batch_op.drop_column(name)
