"""Sums for metrics, kept by triggers; what traces are joined by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0009"
branch_labels = None
depends_on = None

_ENDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)
_OPEN = "'reserved', 'submitting', 'unknown', 'submitted', 'completed', 'question'"
_KEY = "name, kind, model, state, error_class, bucket, part"
# Of an intent these decide about its sums; any other change of it leaves the triggers alone.
_WATCHED = (
    "state",
    "error_class",
    "charged_microusd",
    "predict_seconds",
    "submitted_at",
    "completed_at",
    "delivered_at",
)


def upgrade() -> None:
    op.create_table(
        "metric_sums",
        sa.Column("name", sa.String(length=32), nullable=False),
        *(
            sa.Column(name, sa.String(length=length), server_default=sa.text("''"), nullable=False)
            for name, length in (("kind", 16), ("model", 200), ("state", 32), ("error_class", 32))
        ),
        sa.Column("bucket", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("part", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "name",
            "kind",
            "model",
            "state",
            "error_class",
            "bucket",
            "part",
            name=op.f("pk_metric_sums"),
        ),
    )
    is_open = sa.text(f"state IN ({_OPEN})")
    op.create_index(
        "ix_intents_open_age",
        "intents",
        ["state", "created_at"],
        sqlite_where=is_open,
        postgresql_where=is_open,
    )
    unended = sa.text("ended_at IS NULL")
    op.create_index(
        "ix_workers_unended",
        "workers",
        ["heartbeat_at"],
        sqlite_where=unended,
        postgresql_where=unended,
    )
    for table in ("intents", "submissions"):
        op.add_column(table, sa.Column("traceparent", sa.String(length=64), nullable=True))
    _fill()
    if op.get_bind().dialect.name == "postgresql":
        _postgres_triggers()
    else:
        _sqlite_triggers()


def downgrade() -> None:
    is_postgres = op.get_bind().dialect.name == "postgresql"
    for name in ("intents_added", "intents_moved", "intents_removed", "reviews_added"):
        on = f" ON {name.partition('_')[0]}" if is_postgres else ""
        op.execute(f"DROP TRIGGER {name}_metrics{on}")
        if is_postgres:
            op.execute(f"DROP FUNCTION {name}_metrics()")
    if is_postgres:
        op.execute("DROP SEQUENCE metric_parts")
    for table in ("intents", "submissions"):
        op.drop_column(table, "traceparent")
    op.drop_index("ix_workers_unended", "workers")
    op.drop_index("ix_intents_open_age", "intents")
    op.drop_table("metric_sums")


def _seconds(dialect: str, later: str, earlier: str) -> str:
    """Return the seconds between two times; none where the clock was set back between them."""
    if dialect == "postgresql":
        return f"GREATEST(0, EXTRACT(EPOCH FROM ({later} - {earlier}))::float8)"
    return f"MAX(0.0, (julianday({later}) - julianday({earlier})) * 86400.0)"


def _bucket(seconds: str) -> str:
    cases = " ".join(f"WHEN {seconds} <= {end} THEN {index}" for index, end in enumerate(_ENDS))
    return f"CASE {cases} ELSE {len(_ENDS)} END"


class _Share(NamedTuple):
    """What an intent adds to one of the sums, in SQL."""

    name: str
    state: str
    error_class: str
    bucket: str
    total: str
    when: str


def _shares(dialect: str, row: str) -> Iterable[_Share]:
    yield _Share(
        "'intents'",
        f"{row}state",
        f"COALESCE({row}error_class, '')",
        "0",
        f"{row}charged_microusd",
        "1 = 1",
    )
    predict = f"{row}predict_seconds"
    whole = _seconds(dialect, f"{row}completed_at", f"{row}submitted_at")
    least = "GREATEST" if dialect == "postgresql" else "MAX"
    queued = f"{least}(0.0, {whole} - {predict})"
    delivery = _seconds(dialect, f"{row}delivered_at", f"{row}completed_at")
    ended = f"{predict} IS NOT NULL AND {row}completed_at IS NOT NULL"
    sent = f"{row}submitted_at IS NOT NULL"
    landed = f"{row}delivered_at IS NOT NULL AND {row}completed_at IS NOT NULL"
    for name, seconds, when in (
        ("'prediction'", predict, ended),
        ("'queue'", queued, f"{ended} AND {sent}"),
        ("'delivery'", delivery, landed),
    ):
        total = f"CAST(ROUND({seconds} * 1000000) AS BIGINT)"
        yield _Share(name, "''", "''", _bucket(seconds), total, when)


_GROWN = (
    f"ON CONFLICT ({_KEY}) DO UPDATE SET count = metric_sums.count + excluded.count, "
    "total = metric_sums.total + excluded.total;"
)


def _add(row: str, sign: int) -> Iterable[str]:
    """Yield SQLite's statements that add an intent's share to the sums, or take it away."""
    for each in _shares("sqlite", row):
        yield (
            f"INSERT INTO metric_sums ({_KEY}, count, total) "
            f"SELECT {each.name}, {row}kind, {row}model, {each.state}, {each.error_class}, "
            f"{each.bucket}, 0, {sign}, {sign} * ({each.total}) WHERE {each.when} {_GROWN}"
        )


def _move(signs: Mapping[str, int]) -> str:
    """Return Postgres' statement that adds what whole tables of changed intents come to.

    An update that changes nothing that is summed adds and takes away the same: no sum is written.
    """
    shares = " UNION ALL ".join(
        f"SELECT {each.name} AS n, kind, model, {each.state} AS s, {each.error_class} AS e, "  # noqa: S608 -- words of this file
        f"{each.bucket} AS b, {sign} AS c, {sign} * ({each.total}) AS t "
        f"FROM {table} WHERE {each.when}"
        for table, sign in signs.items()
        for each in _shares("postgresql", "")
    )
    return (
        f"INSERT INTO metric_sums ({_KEY}, count, total) "  # noqa: S608 -- as above
        f"SELECT n, kind, model, s, e, b, mine, SUM(c), SUM(t) FROM ({shares}) AS shares "
        f"GROUP BY n, kind, model, s, e, b HAVING SUM(c) <> 0 OR SUM(t) <> 0 {_GROWN}"
    )


def _fill() -> None:
    """Sum up what there is: once, at the upgrade."""
    dialect = op.get_bind().dialect.name
    for each in _shares(dialect, ""):
        op.execute(
            f"INSERT INTO metric_sums ({_KEY}, count, total) "  # noqa: S608 -- as above
            f"SELECT {each.name}, kind, model, s, e, b, 0, COUNT(*), SUM(t) FROM (SELECT kind, "
            f"model, {each.state} AS s, {each.error_class} AS e, {each.bucket} AS b, "
            f"{each.total} AS t FROM intents WHERE {each.when}) AS shares "
            "GROUP BY kind, model, s, e, b"
        )
    op.execute(
        f"INSERT INTO metric_sums ({_KEY}, count, total) "  # noqa: S608 -- as above
        "SELECT 'reviews', '', '', verdict, '', 0, 0, COUNT(*), 0 FROM reviews GROUP BY verdict"
    )


def _sqlite_triggers() -> None:
    added, removed = " ".join(_add("NEW.", 1)), " ".join(_add("OLD.", -1))
    changed = " OR ".join(f"OLD.{name} IS NOT NEW.{name}" for name in _WATCHED)
    op.execute(f"CREATE TRIGGER intents_added_metrics AFTER INSERT ON intents BEGIN {added} END")
    op.execute(
        f"CREATE TRIGGER intents_moved_metrics AFTER UPDATE ON intents WHEN {changed} "
        f"BEGIN {removed} {added} END"
    )
    op.execute(
        f"CREATE TRIGGER intents_removed_metrics AFTER DELETE ON intents BEGIN {removed} END"
    )
    op.execute(
        "CREATE TRIGGER reviews_added_metrics AFTER INSERT ON reviews BEGIN "  # noqa: S608 -- as above
        f"INSERT INTO metric_sums ({_KEY}, count, total) "
        f"VALUES ('reviews', '', '', NEW.verdict, '', 0, 0, 1, 0) {_GROWN} END"
    )


# Each connection has parts of its own, so that none waits for another's row; and a new one every
# so many statements: of a row that one transaction has written often, Postgres keeps every version
# until the end, and 100,000 inserts in one transaction took minutes.
_MINE = "(nextval('metric_parts') / 1000) * 8388608 + pg_backend_pid()"


def _postgres_triggers() -> None:
    op.execute("CREATE SEQUENCE metric_parts CACHE 100")
    review = (
        f"INSERT INTO metric_sums ({_KEY}, count, total) "  # noqa: S608 -- as above
        "SELECT 'reviews', '', '', verdict, '', 0, mine, COUNT(*), 0 FROM added GROUP BY verdict "
        f"{_GROWN}"
    )
    new, old = "NEW TABLE AS added", "OLD TABLE AS removed"
    _trigger("intents_added", "intents", "INSERT", new, _move({"added": 1}))
    both = _move({"added": 1, "removed": -1})
    _trigger("intents_moved", "intents", "UPDATE", f"{new} {old}", both)
    _trigger("intents_removed", "intents", "DELETE", old, _move({"removed": -1}))
    _trigger("reviews_added", "reviews", "INSERT", new, review)


def _trigger(name: str, table: str, event: str, tables: str, statement: str) -> None:
    connection = op.get_bind()
    connection.exec_driver_sql(
        f"CREATE FUNCTION {name}_metrics() RETURNS trigger LANGUAGE plpgsql AS $$ "
        f"DECLARE mine bigint := {_MINE}; BEGIN {statement} RETURN NULL; END $$"
    )
    connection.exec_driver_sql(
        f"CREATE TRIGGER {name}_metrics AFTER {event} ON {table} REFERENCING {tables} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {name}_metrics()"
    )
