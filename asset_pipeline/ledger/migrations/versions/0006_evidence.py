"""Evidence in the ledger itself: who was asked, on what terms, in which order, what was stored."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_STATES = "'reserved', 'submitting', 'unknown', 'submitted', 'completed', 'question'"
_OPEN = sa.text(f"state IN ({_STATES})")
_OPEN_ON_TIME = sa.text(f"state IN ({_STATES}) AND found_late_at IS NULL")

_INTENTS = sa.table(
    "intents",
    sa.column("intent_id", sa.String()),
    sa.column("collection", sa.String()),
    sa.column("run_id", sa.String()),
    sa.column("created_at", sa.DateTime(timezone=True)),
    sa.column("reserved_microusd", sa.BigInteger()),
    sa.column("charged_microusd", sa.BigInteger()),
)
_BUDGETS = sa.table(
    "budgets",
    sa.column("budget", sa.String()),
    sa.column("period", sa.String()),
    sa.column("period_start", sa.Date()),
)
_ENTRIES = sa.table(
    "entries",
    sa.column("entry_id", sa.BigInteger()),
    sa.column("intent_id", sa.String()),
    sa.column("budget", sa.String()),
    sa.column("type", sa.String()),
    sa.column("amount_microusd", sa.BigInteger()),
    sa.column("created_at", sa.DateTime(timezone=True)),
)


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
    op.add_column("intents", sa.Column("run_budget", sa.String(length=64), nullable=True))
    op.add_column("intents", sa.Column("found_late_at", sa.DateTime(timezone=True), nullable=True))
    for name in ("boot_id", "pid_namespace"):
        op.add_column("workers", _text(name, sa.String(length=64)))
    _index_open(_OPEN_ON_TIME)
    _create_tables()
    _count_what_budgets_missed()
    identity = sa.table(
        "ledger_identity",
        sa.column("one"),
        sa.column("ledger_id"),
        sa.column("created_at", sa.DateTime(timezone=True)),
    )
    op.bulk_insert(
        identity, [{"one": 1, "ledger_id": uuid.uuid4().hex, "created_at": datetime.now(UTC)}]
    )


def _count_what_budgets_missed() -> None:
    """Enter the payments that were made while a budget had no cap: it did not count them."""
    connection = op.get_bind()
    found: dict[str, list[dict[str, Any]]] = {}
    known = sa.select(_ENTRIES.c.entry_id).where(_ENTRIES.c.intent_id == _INTENTS.c.intent_id)
    for budget, period, start in connection.execute(sa.select(_BUDGETS)).all():
        missed = ~known.where(_ENTRIES.c.budget == budget).exists()
        missed &= _within(budget, period, start)
        for kind, column in (
            ("reserve", _INTENTS.c.reserved_microusd),
            ("charge", _INTENTS.c.charged_microusd),
        ):
            query = sa.select(_INTENTS.c.intent_id, column).where(missed, column != 0)
            made = {"budget": budget, "type": kind, "created_at": datetime.now(UTC)}
            # Written only when all have been looked for: an entry makes its intent known.
            for intent_id, amount in connection.execute(query).all():
                entry = {"intent_id": intent_id, "amount_microusd": amount, **made}
                found.setdefault(budget, []).append(entry)
    for budget, entries in found.items():
        op.bulk_insert(_ENTRIES, entries)
        sums = {
            kind: sum(entry["amount_microusd"] for entry in entries if entry["type"] == kind)
            for kind in ("charge", "reserve")
        }
        add = sa.text(
            "UPDATE budgets SET charged_microusd = charged_microusd + :charge, "
            "reserved_microusd = reserved_microusd + :reserve, overdrawn_microusd = CASE "
            "WHEN charged_microusd + reserved_microusd + :sum > cap_microusd "
            "THEN charged_microusd + reserved_microusd + :sum - cap_microusd ELSE 0 END "
            "WHERE budget = :budget"
        )
        connection.execute(add, {**sums, "sum": sum(sums.values()), "budget": budget})


def _within(budget: str, period: str, start: date | None) -> sa.ColumnElement[bool]:
    name = budget.partition(":")[2]
    if start is not None:
        first = datetime.combine(start, time(), UTC)
        month = (first + timedelta(days=32)).replace(day=1)
        end = first + timedelta(days=1) if period == "day" else month
        return (_INTENTS.c.created_at >= first) & (_INTENTS.c.created_at < end)
    if budget == "total":
        return sa.true()
    return (_INTENTS.c.run_id if period == "run" else _INTENTS.c.collection) == name


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
        "endings",
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("prompt_id", sa.String(length=100), nullable=False),
        sa.Column("how", sa.String(length=16), nullable=False),
        sa.Column("error_class", sa.String(length=32), nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("kind", "prompt_id", name=op.f("pk_endings")),
    )
    op.create_table(
        "configurations",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("in_force_since", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_configurations")),
    )
    op.create_table(
        "waiting",
        sa.Column(
            "ticket",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("worker_id", sa.String(length=32), nullable=False),
        sa.Column("budget", sa.String(length=200), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("ticket", name=op.f("pk_waiting")),
        sa.UniqueConstraint("worker_id", "budget", name=op.f("uq_waiting_worker_id_budget")),
    )


def downgrade() -> None:
    for table in ("waiting", "configurations", "endings", "ledger_identity", "wants"):
        op.drop_table(table)
    _index_open(_OPEN)
    with op.batch_alter_table("workers", schema=None) as batch_op:
        for name in ("pid_namespace", "boot_id"):
            batch_op.drop_column(name)
    with op.batch_alter_table("intents", schema=None) as batch_op:
        for name in ("run_budget", "charge_note", "found_late_at", "stored_json", "terms_json"):
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
