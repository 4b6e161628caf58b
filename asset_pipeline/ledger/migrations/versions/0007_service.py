"""The service: submissions, keys, verdicts, uploads, and whose budget a payment falls under."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("key_id", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("secret_sha256", sa.String(length=64), nullable=False),
        sa.Column("scopes", sa.String(length=100), nullable=False),
        sa.Column("budget_microusd", sa.BigInteger(), nullable=True),
        sa.Column("rate_per_minute", sa.Integer(), nullable=True),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("budget_microusd >= 0", name=op.f("ck_api_keys_budget_not_negative")),
        sa.CheckConstraint("rate_per_minute > 0", name=op.f("ck_api_keys_rate_positive")),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_api_keys")),
    )
    op.create_table(
        "heartbeats",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_heartbeats")),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("owner", sa.String(length=200), nullable=False),
        sa.Column("idempotency_key", sa.String(length=255), nullable=False),
        sa.Column("request_sha256", sa.String(length=64), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("answer_json", sa.Text(), nullable=False),
        sa.Column("location", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("owner", "idempotency_key", name=op.f("pk_idempotency_keys")),
    )
    op.create_index("ix_idempotency_keys_created", "idempotency_keys", ["created_at"], unique=False)
    op.create_table(
        "launches",
        sa.Column("launch_id", sa.String(length=32), nullable=False),
        sa.Column("job", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("prompts_json", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("launch_id", name=op.f("pk_launches")),
    )
    op.create_index(
        "ix_launches_unended",
        "launches",
        ["ended_at"],
        unique=False,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_table(
        "request_rates",
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("next_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_request_rates")),
    )
    op.create_table(
        "service_audit",
        sa.Column("entry_id", ROW_ID, autoincrement=True, nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("key_id", sa.String(length=16), nullable=True),
        sa.Column("action", sa.String(length=300), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("code", sa.String(length=64), server_default=sa.text("('')"), nullable=False),
        sa.Column("client", sa.String(length=64), server_default=sa.text("('')"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_service_audit")),
    )
    op.create_index("ix_service_audit_request", "service_audit", ["request_id"], unique=False)
    op.create_table(
        "submission_events",
        sa.Column("submission_id", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("type", sa.String(length=32), nullable=False),
        sa.Column("data_json", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("submission_id", "number", name=op.f("pk_submission_events")),
    )
    op.create_table(
        "submissions",
        sa.Column("submission_id", sa.String(length=32), nullable=False),
        sa.Column("owner", sa.String(length=200), nullable=False),
        sa.Column("key_id", sa.String(length=16), nullable=True),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("prompts", sa.Integer(), nullable=False),
        sa.Column("clips", sa.Integer(), nullable=False),
        sa.Column("cached", sa.Integer(), nullable=False),
        sa.Column("worst_case_microusd", sa.BigInteger(), nullable=False),
        sa.Column("running", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("completed", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("failed", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("cancelled", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("refused", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("last_event", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column(
            "cancel_requested", sa.Boolean(), server_default=sa.text("(false)"), nullable=False
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'completed', 'partly_failed', 'failed', 'cancelled', "
            "'refused_by_budget')",
            name=op.f("ck_submissions_state_known"),
        ),
        sa.PrimaryKeyConstraint("submission_id", name=op.f("pk_submissions")),
    )
    op.create_index("ix_submissions_owner", "submissions", ["owner", "created_at"], unique=False)
    op.create_table(
        "submitted_prompts",
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("prompt_id", sa.String(length=100), nullable=False),
        sa.Column("collection", sa.String(length=100), nullable=False),
        sa.Column("owner", sa.String(length=200), nullable=False),
        sa.Column("entry_json", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("kind", "prompt_id", name=op.f("pk_submitted_prompts")),
    )
    op.create_table(
        "takes",
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("prompt_id", sa.String(length=100), nullable=False),
        sa.Column("variant", sa.Integer(), nullable=False),
        sa.Column("take", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("kind", "prompt_id", "variant", name=op.f("pk_takes")),
    )
    op.create_table(
        "uploads",
        sa.Column("file_id", sa.String(length=40), nullable=False),
        sa.Column("owner", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("mime", sa.String(length=64), nullable=False),
        sa.Column("extension", sa.String(length=8), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("width", sa.Integer(), nullable=True),
        sa.Column("height", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("file_id", name=op.f("pk_uploads")),
    )
    op.create_index("ix_uploads_owner", "uploads", ["owner", "removed_at"], unique=False)
    op.create_table(
        "sessions",
        sa.Column("session_sha256", sa.String(length=64), nullable=False),
        sa.Column("key_id", sa.String(length=16), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["key_id"], ["api_keys.key_id"], name=op.f("fk_sessions_key_id")),
        sa.PrimaryKeyConstraint("session_sha256", name=op.f("pk_sessions")),
    )
    op.create_table(
        "submission_items",
        sa.Column("item_id", ROW_ID, autoincrement=True, nullable=False),
        sa.Column("submission_id", sa.String(length=32), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("prompt_id", sa.String(length=100), nullable=False),
        sa.Column("variants", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("error_class", sa.String(length=32), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("launch_id", sa.String(length=32), nullable=True),
        sa.Column("key_id", sa.String(length=16), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'completed', 'failed', 'cancelled', "
            "'refused_by_budget')",
            name=op.f("ck_submission_items_state_known"),
        ),
        sa.ForeignKeyConstraint(
            ["submission_id"],
            ["submissions.submission_id"],
            name=op.f("fk_submission_items_submission_id"),
        ),
        sa.PrimaryKeyConstraint("item_id", name=op.f("pk_submission_items")),
        sa.UniqueConstraint(
            "submission_id", "position", name=op.f("uq_submission_items_submission_id_position")
        ),
    )
    op.create_index(
        "ix_submission_items_launch",
        "submission_items",
        ["launch_id", "kind", "prompt_id"],
        unique=False,
    )
    op.create_index(
        "ix_submission_items_waiting",
        "submission_items",
        ["item_id"],
        unique=False,
        sqlite_where=sa.text("state = 'queued'"),
        postgresql_where=sa.text("state = 'queued'"),
    )
    op.create_table(
        "reviews",
        sa.Column("review_id", ROW_ID, autoincrement=True, nullable=False),
        sa.Column("clip_id", sa.String(length=32), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("verdict", sa.String(length=16), nullable=False),
        sa.Column(
            "reason_code", sa.String(length=32), server_default=sa.text("('')"), nullable=False
        ),
        sa.Column("note", sa.Text(), server_default=sa.text("('')"), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("supersedes", sa.BigInteger(), nullable=True),
        sa.Column("launch_id", sa.String(length=32), nullable=True),
        sa.CheckConstraint(
            "verdict IN ('approved', 'rejected', 'undecided')",
            name=op.f("ck_reviews_verdict_known"),
        ),
        sa.ForeignKeyConstraint(["clip_id"], ["clips.clip_id"], name=op.f("fk_reviews_clip_id")),
        sa.PrimaryKeyConstraint("review_id", name=op.f("pk_reviews")),
        sa.UniqueConstraint("supersedes", name=op.f("uq_reviews_supersedes")),
    )
    op.create_index("ix_reviews_clip", "reviews", ["clip_id"], unique=False)
    op.create_index(
        "ix_reviews_unseen",
        "reviews",
        ["review_id"],
        unique=False,
        sqlite_where=sa.text("launch_id IS NULL"),
        postgresql_where=sa.text("launch_id IS NULL"),
    )
    op.add_column("clips", sa.Column("review_state", sa.String(length=16), nullable=True))
    op.add_column("clips", sa.Column("review_id", sa.BigInteger(), nullable=True))
    op.create_index("ix_clips_created", "clips", ["created_at", "clip_id"], unique=False)
    op.add_column("intents", sa.Column("key_id", sa.String(length=16), nullable=True))
    op.add_column("intents", sa.Column("launch_id", sa.String(length=32), nullable=True))
    op.create_index("ix_intents_launch", "intents", ["launch_id", "kind", "prompt_id"])
    op.create_index("ix_intents_key", "intents", ["key_id"], unique=False)


def downgrade() -> None:
    op.drop_table("idempotency_keys")
    op.drop_table("submission_events")
    op.drop_table("submission_items")
    op.drop_table("submissions")
    op.drop_table("launches")
    op.drop_table("reviews")
    op.drop_table("sessions")
    op.drop_table("api_keys")
    op.drop_table("request_rates")
    op.drop_table("uploads")
    op.drop_table("submitted_prompts")
    op.drop_table("takes")
    op.drop_table("service_audit")
    op.drop_table("heartbeats")
    op.drop_index("ix_clips_created", table_name="clips")
    op.drop_index("ix_intents_key", table_name="intents")
    op.drop_index("ix_intents_launch", table_name="intents")
    op.drop_column("intents", "launch_id")
    op.drop_column("clips", "review_id")
    op.drop_column("clips", "review_state")
    op.drop_column("intents", "key_id")
