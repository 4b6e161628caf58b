"""First schema: intents, entries, budgets, clips, lineage and workers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

OPEN = "state IN ('reserved', 'submitting', 'unknown', 'submitted', 'completed', 'question')"
KNOWN_STATES = f"{OPEN[:-1]}, 'delivered', 'failed', 'refused')"


def upgrade() -> None:
    op.create_table(
        "budgets",
        sa.Column("budget", sa.String(length=200), nullable=False),
        sa.Column("period", sa.String(length=16), nullable=False),
        sa.Column("period_start", sa.Date(), nullable=True),
        sa.Column("cap_microusd", sa.BigInteger(), nullable=False),
        sa.Column("charged_microusd", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column(
            "reserved_microusd", sa.BigInteger(), server_default=sa.text("0"), nullable=False
        ),
        sa.Column(
            "overdrawn_microusd", sa.BigInteger(), server_default=sa.text("0"), nullable=False
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("cap_microusd >= 0", name=op.f("ck_budgets_cap_not_negative")),
        sa.CheckConstraint(
            "charged_microusd + reserved_microusd <= cap_microusd + overdrawn_microusd",
            name=op.f("ck_budgets_within_cap"),
        ),
        sa.CheckConstraint("charged_microusd >= 0", name=op.f("ck_budgets_charged_not_negative")),
        sa.CheckConstraint(
            "overdrawn_microusd >= 0", name=op.f("ck_budgets_overdrawn_not_negative")
        ),
        sa.CheckConstraint("reserved_microusd >= 0", name=op.f("ck_budgets_reserved_not_negative")),
        sa.PrimaryKeyConstraint("budget", name=op.f("pk_budgets")),
    )
    op.create_table(
        "intents",
        sa.Column("intent_id", sa.String(length=32), nullable=False),
        sa.Column("generation_hash", sa.String(length=64), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("prompt_id", sa.String(length=100), nullable=False),
        sa.Column("collection", sa.String(length=100), nullable=False),
        sa.Column("variant", sa.Integer(), nullable=False),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=True),
        sa.Column("prompt_text", sa.Text(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=True),
        sa.Column("inputs_json", sa.Text(), nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("worker_id", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("prediction_id", sa.String(length=64), nullable=True),
        sa.Column("reserved_microusd", sa.BigInteger(), nullable=False),
        sa.Column("charged_microusd", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("price_source", sa.Text(), nullable=False),
        sa.Column("billed", sa.String(length=16), nullable=True),
        sa.Column("predict_seconds", sa.Float(), nullable=True),
        sa.Column("error_class", sa.String(length=32), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lost_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("absent_listings", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            KNOWN_STATES,
            name=op.f("ck_intents_state_known"),
        ),
        sa.CheckConstraint("charged_microusd >= 0", name=op.f("ck_intents_charged_not_negative")),
        sa.CheckConstraint("reserved_microusd >= 0", name=op.f("ck_intents_reserved_not_negative")),
        sa.PrimaryKeyConstraint("intent_id", name=op.f("pk_intents")),
        sa.UniqueConstraint(
            "generation_hash", "attempt", name=op.f("uq_intents_generation_hash_attempt")
        ),
        sa.UniqueConstraint("prediction_id", name=op.f("uq_intents_prediction_id")),
    )
    with op.batch_alter_table("intents", schema=None) as batch_op:
        batch_op.create_index("ix_intents_created", ["created_at"], unique=False)
        batch_op.create_index("ix_intents_prompt", ["kind", "prompt_id", "variant"], unique=False)
        batch_op.create_index("ix_intents_run", ["run_id"], unique=False)
        batch_op.create_index("ix_intents_state_updated", ["state", "updated_at"], unique=False)
        batch_op.create_index(
            "uq_intents_open",
            ["generation_hash"],
            unique=True,
            sqlite_where=sa.text(OPEN),
            postgresql_where=sa.text(OPEN),
        )

    op.create_table(
        "lineage",
        sa.Column(
            "lineage_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("child_uri", sa.Text(), nullable=False),
        sa.Column("child_sha256", sa.String(length=64), nullable=False),
        sa.Column("parent_type", sa.String(length=16), nullable=False),
        sa.Column("parent_id", sa.Text(), nullable=False),
        sa.Column("parent_sha256", sa.String(length=64), nullable=True),
        sa.Column("relation", sa.String(length=32), nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("lineage_id", name=op.f("pk_lineage")),
        sa.UniqueConstraint(
            "child_uri",
            "parent_type",
            "parent_id",
            "relation",
            name=op.f("uq_lineage_child_uri_parent_type_parent_id_relation"),
        ),
    )
    op.create_table(
        "workers",
        sa.Column("worker_id", sa.String(length=32), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("pid_started", sa.Float(), nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("heartbeat_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("worker_id", name=op.f("pk_workers")),
    )
    op.create_table(
        "clips",
        sa.Column("clip_id", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("prompt_id", sa.String(length=100), nullable=False),
        sa.Column("collection", sa.String(length=100), nullable=False),
        sa.Column("variant", sa.Integer(), nullable=False),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("generation_hash", sa.String(length=64), nullable=False),
        sa.Column("intent_id", sa.String(length=32), nullable=False),
        sa.Column("prediction_id", sa.String(length=64), nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("object_key", sa.Text(), nullable=False),
        sa.Column("object_uri", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("mime", sa.String(length=64), nullable=False),
        sa.Column("width", sa.Integer(), nullable=True),
        sa.Column("height", sa.Integer(), nullable=True),
        sa.Column("duration_seconds", sa.Float(), nullable=True),
        sa.Column("cost_microusd", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("superseded_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["intent_id"], ["intents.intent_id"], name=op.f("fk_clips_intent_id")
        ),
        sa.PrimaryKeyConstraint("clip_id", name=op.f("pk_clips")),
    )
    with op.batch_alter_table("clips", schema=None) as batch_op:
        batch_op.create_index("ix_clips_generation", ["generation_hash"], unique=False)
        batch_op.create_index("ix_clips_intent", ["intent_id"], unique=False)
        batch_op.create_index("ix_clips_sha256", ["sha256"], unique=False)
        batch_op.create_index(
            "uq_clips_current",
            ["kind", "prompt_id", "variant"],
            unique=True,
            sqlite_where=sa.text("superseded_at IS NULL"),
            postgresql_where=sa.text("superseded_at IS NULL"),
        )

    op.create_table(
        "entries",
        sa.Column(
            "entry_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("intent_id", sa.String(length=32), nullable=True),
        sa.Column("budget", sa.String(length=200), nullable=False),
        sa.Column("type", sa.String(length=16), nullable=False),
        sa.Column("amount_microusd", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "type IN ('reserve', 'charge', 'release', 'adjust')", name=op.f("ck_entries_type_known")
        ),
        sa.ForeignKeyConstraint(["budget"], ["budgets.budget"], name=op.f("fk_entries_budget")),
        sa.ForeignKeyConstraint(
            ["intent_id"], ["intents.intent_id"], name=op.f("fk_entries_intent_id")
        ),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_entries")),
    )
    with op.batch_alter_table("entries", schema=None) as batch_op:
        batch_op.create_index("ix_entries_budget", ["budget", "type"], unique=False)
        batch_op.create_index("ix_entries_intent", ["intent_id", "type"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("entries", schema=None) as batch_op:
        batch_op.drop_index("ix_entries_intent")
        batch_op.drop_index("ix_entries_budget")

    op.drop_table("entries")
    with op.batch_alter_table("clips", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_clips_current",
            sqlite_where=sa.text("superseded_at IS NULL"),
            postgresql_where=sa.text("superseded_at IS NULL"),
        )
        batch_op.drop_index("ix_clips_sha256")
        batch_op.drop_index("ix_clips_intent")
        batch_op.drop_index("ix_clips_generation")

    op.drop_table("clips")
    op.drop_table("workers")
    op.drop_table("lineage")
    with op.batch_alter_table("intents", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_intents_open",
            sqlite_where=sa.text(OPEN),
            postgresql_where=sa.text(OPEN),
        )
        batch_op.drop_index("ix_intents_state_updated")
        batch_op.drop_index("ix_intents_run")
        batch_op.drop_index("ix_intents_prompt")
        batch_op.drop_index("ix_intents_created")

    op.drop_table("intents")
    op.drop_table("budgets")
