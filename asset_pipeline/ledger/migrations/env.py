"""Alembic's entry: it runs on the connection that the ledger's engine hands it, never its own."""

from __future__ import annotations

from alembic import context

from asset_pipeline.ledger.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
