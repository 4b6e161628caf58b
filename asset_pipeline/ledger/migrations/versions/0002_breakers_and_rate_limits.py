"""Circuit breakers of the models, and the rate that all processes share."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "breakers",
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("create_failures", sa.Integer(), nullable=False),
        sa.Column("prediction_failures", sa.Integer(), nullable=False),
        sa.Column("openings", sa.Integer(), nullable=False),
        sa.Column("last_error_class", sa.String(length=32), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("last_failure_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("retry_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("probe_owner", sa.String(length=32), nullable=True),
        sa.Column("probe_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state IN ('closed', 'open', 'half_open')", name=op.f("ck_breakers_state_known")
        ),
        sa.CheckConstraint(
            "state <> 'open' OR (opened_at IS NOT NULL AND retry_at IS NOT NULL)",
            name=op.f("ck_breakers_open_has_times"),
        ),
        sa.CheckConstraint(
            "(probe_owner IS NULL) = (probe_expires_at IS NULL)",
            name=op.f("ck_breakers_probe_has_an_expiry"),
        ),
        sa.CheckConstraint(
            "probe_owner IS NULL OR state = 'half_open'",
            name=op.f("ck_breakers_probe_in_half_open"),
        ),
        sa.PrimaryKeyConstraint("model", name=op.f("pk_breakers")),
    )
    op.create_table(
        "rate_limits",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("per_minute", sa.Integer(), nullable=False),
        sa.Column("share", sa.Float(), nullable=False),
        sa.Column("next_slot_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("paused_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("throttled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("throttles", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("share > 0 AND share <= 1", name=op.f("ck_rate_limits_share_of_one")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_rate_limits")),
    )


def downgrade() -> None:
    op.drop_table("rate_limits")
    op.drop_table("breakers")
