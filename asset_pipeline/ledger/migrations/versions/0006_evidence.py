"""Evidence in the ledger itself: who was asked, on what terms, in which order, what was stored."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_STATES = "'reserved', 'submitting', 'unknown', 'submitted', 'completed', 'question'"
_OPEN = sa.text(f"state IN ({_STATES})")
_OPEN_ON_TIME = sa.text(f"state IN ({_STATES}) AND found_late_at IS NULL")


def upgrade() -> None:
    for table in ("intents", "clips"):
        op.add_column(table, _text("provider", sa.String(length=16)))
        op.add_column(table, _text("base_url", sa.Text()))
        op.add_column(table, _text("account", sa.String(length=200)))
        op.add_column(
            table,
            sa.Column("wanted_order", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        )
    for name in ("terms_json", "stored_json", "charge_note"):
        op.add_column("intents", sa.Column(name, sa.Text(), nullable=True))
    for name in ("found_late_at", "counts_from"):
        op.add_column("intents", sa.Column(name, sa.DateTime(timezone=True), nullable=True))
    for name in ("boot_id", "pid_namespace"):
        op.add_column("workers", _text(name, sa.String(length=64)))
    _index_open(_OPEN_ON_TIME)
    _create_tables()
    identity = sa.table(
        "ledger_identity",
        sa.column("one"),
        sa.column("ledger_id"),
        sa.column("created_at", sa.DateTime(timezone=True)),
    )
    op.bulk_insert(
        identity, [{"one": 1, "ledger_id": uuid.uuid4().hex, "created_at": datetime.now(UTC)}]
    )


def _create_tables() -> None:
    op.create_table(
        "wants",
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("prompt_id", sa.String(length=100), nullable=False),
        sa.Column("variant", sa.Integer(), nullable=False),
        sa.Column("wanted_hash", sa.String(length=64), nullable=False),
        sa.Column("wanted_order", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "prompt_id", "variant", name=op.f("pk_wants")),
    )
    op.create_table(
        "ledger_identity",
        sa.Column("one", sa.Integer(), nullable=False),
        sa.Column("ledger_id", sa.String(length=32), nullable=False),
        _text("provider", sa.String(length=16)),
        sa.Column("last_order", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("one = 1", name=op.f("ck_ledger_identity_one_row")),
        sa.PrimaryKeyConstraint("one", name=op.f("pk_ledger_identity")),
    )
    op.create_table(
        "configurations",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("in_force_since", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_configurations")),
    )


def downgrade() -> None:
    for table in ("configurations", "ledger_identity", "wants"):
        op.drop_table(table)
    _index_open(_OPEN)
    with op.batch_alter_table("workers", schema=None) as batch_op:
        for name in ("pid_namespace", "boot_id"):
            batch_op.drop_column(name)
    with op.batch_alter_table("intents", schema=None) as batch_op:
        for name in ("charge_note", "counts_from", "found_late_at", "stored_json", "terms_json"):
            batch_op.drop_column(name)
    for table in ("clips", "intents"):
        with op.batch_alter_table(table, schema=None) as batch_op:
            for name in ("wanted_order", "account", "base_url", "provider"):
                batch_op.drop_column(name)


def _text(name: str, kind: sa.types.TypeEngine[str]) -> sa.Column[str]:
    return sa.Column(name, kind, server_default=sa.text("''"), nullable=False)


def _index_open(where: sa.TextClause) -> None:
    op.drop_index("uq_intents_open", "intents")
    op.create_index(
        "uq_intents_open",
        "intents",
        ["generation_hash"],
        unique=True,
        sqlite_where=where,
        postgresql_where=where,
    )
