"""Which generation was wanted, where another one stands in for it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("intents", "clips"):
        op.add_column(table, sa.Column("wanted_hash", sa.String(length=64), nullable=True))
        op.add_column(table, sa.Column("strategy", sa.String(length=64), nullable=True))
        op.create_index(f"ix_{table}_wanted", table, ["wanted_hash"], unique=False)


def downgrade() -> None:
    for table in ("clips", "intents"):
        op.drop_index(f"ix_{table}_wanted", table)
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.drop_column("strategy")
            batch_op.drop_column("wanted_hash")
