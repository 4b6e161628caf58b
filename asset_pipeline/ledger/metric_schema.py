"""The sums that metrics are read from: kept by the database itself, as part of each write.

Triggers on ``intents`` and ``reviews`` (see the migration that made them) move a row's share from
one sum to another in the very transaction that moves the row. So the sums hold after any kill and
over all processes, and reading them costs the same over a thousand intents as over a million.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, String, Table, text

from asset_pipeline.ledger.column_types import metadata

_EMPTY = text("''")

metric_sums = Table(
    "metric_sums",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("kind", String(16), primary_key=True, server_default=_EMPTY),
    Column("model", String(200), primary_key=True, server_default=_EMPTY),
    Column("state", String(32), primary_key=True, server_default=_EMPTY),
    Column("error_class", String(32), primary_key=True, server_default=_EMPTY),
    # The number of a bucket of durations; 0 in any other sum.
    Column("bucket", Integer, primary_key=True, autoincrement=False, server_default=text("0")),
    # Whose part of the sum it is. SQLite has one writer at a time and one part. On Postgres each
    # connection has its own, the number of its process, so that none ever waits for another's.
    Column("part", BigInteger, primary_key=True, autoincrement=False, server_default=text("0")),
    Column("count", BigInteger, nullable=False),
    # Micro-dollars of money, microseconds of durations.
    Column("total", BigInteger, nullable=False),
)
