"""The Dagster instance's storage on Postgres: the stock tables, written to in batches.

`deploy/dagster.postgres.yaml` names it. It needs the extra `team`. The stock classes
read and write the same tables, so whoever removes the setting keeps all history.

Measured on two cores: the stock event log writes 42 planned partitions a second, so that a run of
1,000 prompts waits 24 seconds before it starts; this one writes some thousands.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping, Sequence
from typing import Any, Final, NamedTuple, cast

from dagster import EventLogEntry
from dagster_postgres import (
    DagsterPostgresStorage,
    PostgresEventLogStorage,
    PostgresRunStorage,
    PostgresScheduleStorage,
)
from dagster_postgres.utils import get_token_provider_from_config, pg_url_from_config
from sqlalchemy import Connection, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool, QueuePool

from asset_pipeline.defs._dagster_private import (
    ConfigurableClassData,
    PostgresStorageConfig,
    SqlEventLogStorageTable,
    create_engine,
    pg_config,
)
from asset_pipeline.defs.instance.event_writes import (
    READ_PARTITION_SET_STATE,
    PartitionSetState,
    is_asset_event,
    tell_dagster,
    without_secrets,
)
from asset_pipeline.errors import ConfigurationError
from asset_pipeline.settings import ProviderName, load_settings

_DRIVER: Final = "postgresql+psycopg2"
_SANDBOX_SCHEMA: Final = "sandbox"

# "dagster " in ASCII: everybody who makes the tables waits for the same lock of the database.
_MAKING_TABLES: Final = 0x6461677374657220

# A process writes with one thread nearly always; what comes above is closed again.
_KEPT_OPEN: Final = 1


def storage_url(url: str, provider: ProviderName) -> str:
    """Return the address under which Dagster's storage of a provider is opened.

    The driver is named: SQLAlchemy 2.1 takes psycopg 3 for a bare ``postgresql://``, and
    dagster-postgres 0.29 closes the web server's connections under that one. The sandbox has a
    schema of its own, so that what it made never shows as real work; real work has the schema that
    the stock storage uses.

    Args:
        url: The database's address, of any spelling.
        provider: Who makes the clips.

    Raises:
        ConfigurationError: It is no address of a Postgres.
    """
    try:
        parsed = make_url(url)
    except (ValueError, ArgumentError):
        parsed = None
    if parsed is None or parsed.drivername.partition("+")[0] not in {"postgresql", "postgres"}:
        raise ConfigurationError(
            "The address of Dagster's storage is not one of a Postgres.",
            hint="Write postgresql://user:password@host/database in DAGSTER_POSTGRES_URL.",
        )
    parsed = parsed.set(drivername=_DRIVER)
    if provider is ProviderName.SANDBOX:
        parsed = _with_option(parsed, f"-csearch_path={_SANDBOX_SCHEMA}")
    return parsed.render_as_string(hide_password=False)


class BatchedPostgresEventLogStorage(PostgresEventLogStorage):
    """The stock event log, but for how it connects and how it writes many events.

    It overrides:

    - ``store_event``: secrets are masked first;
    - ``store_event_batch``: asset events of any types go into one transaction, in their order;
    - ``has_table``: a table that was there once is there;
    - ``get_dynamic_partitions`` and what changes them: the keys of an unchanged set are remembered;
    - the engine: one connection stays open (a connection takes 20 ms, an event one), and a commit
      does not wait for the disk. A power cut may cost the last events, never the database; what is
      owed is in the ledger, which does wait.

    Args:
        postgres_url: The address, as :func:`storage_url` returns it.
        should_autocreate_tables: Whether missing tables are made.
        inst_data: Dagster's own record of how the class was configured.
        token_provider: Gives passwords that a cloud issues for minutes.
    """

    def __init__(
        self,
        postgres_url: str,
        should_autocreate_tables: bool = True,  # noqa: FBT001, FBT002 -- the stock signature
        inst_data: ConfigurableClassData | None = None,
        token_provider: Any = None,  # noqa: ANN401 -- a class of its optional part
    ) -> None:
        tell_dagster()
        self._tables: set[str] = set()
        self._partitions: dict[str, _Keys] = {}
        super().__init__(postgres_url, should_autocreate_tables, inst_data, token_provider)
        # With a cloud's passwords the stock engine stays: it asks for one at each connection.
        if token_provider is None:
            self._engine = create_engine(
                _with_option(make_url(postgres_url), "-csynchronous_commit=off"),
                isolation_level="AUTOCOMMIT",
                poolclass=QueuePool,
                pool_size=_KEPT_OPEN,
                max_overflow=20,
                # A server that was restarted is noticed before an event is lost to it.
                pool_pre_ping=True,
            )

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> BatchedPostgresEventLogStorage:
        """Open the event log of the provider in use."""
        url = storage_url(pg_url_from_config(config_value), load_settings().provider)
        return cls(
            url,
            config_value.get("should_autocreate_tables", True),
            inst_data,
            get_token_provider_from_config(config_value),
        )

    def store_event(self, event: EventLogEntry) -> None:
        """Store an event without secrets: tracebacks quote what nobody of ours has written."""
        super().store_event(without_secrets([event])[0])

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store asset events in one transaction, others as the stock class does.

        Whoever sees an event sees its tags too. The table of assets keeps the latest event only
        and is written afterwards: its row is locked for an instant and not for the whole batch,
        else the runs of one asset would wait for each other.
        """
        events = without_secrets(events)
        if not (events and all(is_asset_event(event) for event in events)):
            super().store_event_batch(events)
            return
        rows = [self._event_to_row(event) for event in events]
        with self.index_transaction() as connection:
            ids = _insert_in_order(connection, rows)
            self._store_asset_event_tags(connection, events, ids)
        latest = {
            event.get_dagster_event().asset_key: (event, event_id)
            for event, event_id in zip(events, ids, strict=True)
        }
        with self.index_connection() as connection:
            for event, event_id in latest.values():
                self._store_asset_event(connection, event, event_id)

    def has_table(self, table_name: str) -> bool:
        """Tell whether a table exists; the stock class asks the database before every tag."""
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    def get_dynamic_partitions(self, partitions_def_name: str) -> Sequence[str]:
        """Return a set's keys, from memory while they have not changed.

        One evaluation of automation conditions asks for them four hundred times, and reading
        100,000 takes a good part of a second.
        """
        self._check_partitions_table()
        with self.index_connection() as connection:
            row = connection.execute(READ_PARTITION_SET_STATE, {"name": partitions_def_name}).one()
        state = PartitionSetState(*row)
        known = self._partitions.get(partitions_def_name)
        if known is None or known.state != state:
            known = _Keys(state, super().get_dynamic_partitions(partitions_def_name))
            self._partitions[partitions_def_name] = known
        return list(known.keys)

    def dispose(self) -> None:
        """Close all connections."""
        self._engine.dispose()
        super().dispose()


class PostgresStorageByProvider(DagsterPostgresStorage):
    """Runs, events and schedules of the provider in use, and of no other, on Postgres.

    Args:
        postgres_url: The database's address, of any spelling.
        should_autocreate_tables: Whether missing tables are made.
        inst_data: Dagster's own record of how the class was configured.
        token_provider: Gives passwords that a cloud issues for minutes.
    """

    def __init__(
        self,
        postgres_url: str,
        should_autocreate_tables: bool = True,  # noqa: FBT001, FBT002 -- the stock signature
        inst_data: ConfigurableClassData | None = None,
        token_provider: Any = None,  # noqa: ANN401 -- a class of its optional part
    ) -> None:
        provider = load_settings().provider
        url = storage_url(postgres_url, provider)
        self.postgres_url = url
        self.should_autocreate_tables = should_autocreate_tables
        self._inst_data = inst_data
        autocreate = should_autocreate_tables
        with _sole_maker(url, provider) if token_provider is None else contextlib.nullcontext():
            self._run_storage = PostgresRunStorage(url, autocreate, token_provider=token_provider)
            self._event_log_storage = BatchedPostgresEventLogStorage(
                url, autocreate, token_provider=token_provider
            )
            self._schedule_storage = PostgresScheduleStorage(
                url, autocreate, token_provider=token_provider
            )
        super(DagsterPostgresStorage, self).__init__()

    @classmethod
    def config_type(cls) -> Any:  # noqa: ANN401 -- Dagster's schema, a private type
        """Take what dagster-postgres takes: ``postgres_url``, or ``postgres_db`` and its parts."""
        return pg_config()

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: PostgresStorageConfig
    ) -> PostgresStorageByProvider:
        """Open the storage of the provider in use."""
        return cls(
            pg_url_from_config(config_value),
            cast("Mapping[str, Any]", config_value).get("should_autocreate_tables", True),
            inst_data,
            get_token_provider_from_config(config_value),
        )

    @property
    def event_storage_data(self) -> ConfigurableClassData | None:
        """Say which class other processes open the event log with."""
        if self._inst_data is None:
            return None
        return ConfigurableClassData(
            __name__, BatchedPostgresEventLogStorage.__name__, self._inst_data.config_yaml
        )


class _Keys(NamedTuple):
    state: PartitionSetState
    keys: Sequence[str]


@contextlib.contextmanager
def _sole_maker(url: str, provider: ProviderName) -> Generator[None]:
    """Let one process at a time make the schema and the tables, on whatever machine.

    Two at the same moment would stamp the tables' revision twice, as they do on SQLite.
    """
    engine = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _MAKING_TABLES})
        if provider is ProviderName.SANDBOX:
            connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {_SANDBOX_SCHEMA}"))
        yield  # closing the connection lets the lock go, and so does the end of the process


def _with_option(url: URL, option: str) -> URL:
    """Return an address with one more of the options that the server takes at a connection."""
    given = url.query.get("options", "")
    options = given if isinstance(given, str) else " ".join(given)
    return url.update_query_dict({"options": f"{options} {option}".strip()})


def _insert_in_order(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """Insert the rows and return their ids, which ascend: staleness goes by the order of events."""
    statement = SqlEventLogStorageTable.insert().returning(
        SqlEventLogStorageTable.c.id, sort_by_parameter_order=True
    )
    return [int(row[0]) for row in connection.execute(statement, [dict(row) for row in rows])]
