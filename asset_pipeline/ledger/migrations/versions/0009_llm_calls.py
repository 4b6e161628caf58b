"""Calls to language models, paid from the same budgets as clips."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "llm_calls",
        sa.Column("intent_id", sa.String(length=32), nullable=False),
        sa.Column("operation", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.String(length=100), nullable=False),
        sa.Column("subject_sha256", sa.String(length=64), nullable=False),
        sa.Column("evidence", sa.String(length=16), nullable=False),
        sa.Column("worst_case_microusd", sa.BigInteger(), nullable=False),
        sa.Column("answered_model", sa.String(length=200), nullable=True),
        sa.Column("finish_reason", sa.String(length=32), nullable=True),
        sa.Column("prompt_tokens", sa.Integer(), nullable=True),
        sa.Column("completion_tokens", sa.Integer(), nullable=True),
        sa.Column("cost_usd", sa.Text(), nullable=True),
        sa.Column("key_usage_usd", sa.Text(), nullable=True),
        sa.Column("key_usage_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("response_text", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "evidence IN ('none', 'answer', 'worst_case', 'key_usage')",
            name=op.f("ck_llm_calls_evidence_known"),
        ),
        sa.ForeignKeyConstraint(
            ["intent_id"], ["intents.intent_id"], name=op.f("fk_llm_calls_intent_id")
        ),
        sa.PrimaryKeyConstraint("intent_id", name=op.f("pk_llm_calls")),
    )
    op.create_index("ix_llm_calls_subject", "llm_calls", ["subject", "operation"])


def downgrade() -> None:
    op.drop_table("llm_calls")
