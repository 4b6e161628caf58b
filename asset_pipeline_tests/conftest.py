"""What all rooms' tests share: empty ledgers on SQLite and Postgres, a clock, a clean world."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from pydantic import SecretStr
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from asset_pipeline.ledger.engine import open_engine
from asset_pipeline_tests.support.clocks import FakeClock
from asset_pipeline_tests.support.ledgers import place_new_ledger
from asset_pipeline_tests.support.postgres import new_database, running_postgres

# Images of containers often ask for no compiled modules: each of the hundreds of processes that the
# tests start then compiles all of the package, a third of what a server's start costs.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# The same examples on every machine: a red build can be repeated, a green one means the same thing.
settings.register_profile(
    "repeatable",
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    database=None,
)
settings.load_profile("repeatable")

_OURS = ("ASSET_PIPELINE_", "REPLICATE_", "OPENROUTER_", "DAGSTER_HOME")

NewLedger = Callable[[], SecretStr]

_KILLS = Path(__file__).parent / "crash"
# Rooms that nothing of the main job goes through, random searches and harnesses that take long:
# `make test-slow` has them.
_APART = tuple(
    Path(__file__).parent / name
    for name in (
        "deploy",
        "drafting",
        "monitoring",
        "project",
        "cli/test_apart.py",
        "cli/test_briefs.py",
        "cli/test_buckets.py",
        "cli/test_models.py",
        "cli/test_fault_demo.py",
        "cli/test_render.py",
        "cli/test_stages.py",
        "crash/test_caps.py",
        "crash/test_random_instants.py",
        "ledger/test_group_commit.py",
        "providers/test_replies_at_random.py",
        "sandbox/test_public_document.py",
        "service/test_fuzzing.py",
        "service/test_prometheus.py",
        "service/test_tracing.py",
        "test_import_docs.py",
    )
)
_SERVERS = frozenset(
    {"server", "site", "own_site", "sandbox", "slow_sandbox", "start", "instant", "postgres"}
    | {"sandbox_url", "seaweed_server", "own_seaweed", "gcs_server"}
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what kills processes, what its fixtures start servers for, and what is apart."""
    for item in items:
        if any(item.path.is_relative_to(room) for room in _APART):
            item.add_marker("slow")
        if item.path.is_relative_to(_KILLS):
            item.add_marker("kills")
        elif isinstance(item, pytest.Function) and _needs_server(item):
            item.add_marker("servers")


def _needs_server(item: pytest.Function) -> bool:
    values = item.callspec.params.values() if hasattr(item, "callspec") else ()
    return not _SERVERS.isdisjoint(item.fixturenames) or any(
        value in {"postgres", "postgresql"} for value in values if isinstance(value, str)
    )


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands at noon until it is told otherwise."""
    return FakeClock()


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An environment that names only this test's folder, which is also the current one."""
    for name in list(os.environ):
        if name.startswith(_OURS):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def new_sqlite(tmp_path: Path) -> NewLedger:
    """Make empty ledgers on SQLite; each call makes one more."""
    made = iter(range(1000))

    def new() -> SecretStr:
        path = tmp_path / f"ledger-{next(made)}.db"
        place_new_ledger(path)
        return SecretStr(f"sqlite:///{path}")

    return new


@pytest.fixture(scope="session")
def postgres() -> Generator[SecretStr]:
    """A real Postgres for the whole session, stopped and removed at its end."""
    with running_postgres() as url:
        # Nobody pulls the plug on a test: waiting for the disk would be most of the suite's time.
        _run(url, "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")
        yield url


@pytest.fixture(scope="session")
def postgres_template(postgres: SecretStr) -> str:
    """The name of an empty, migrated ledger on the session's Postgres, to copy."""
    url = new_database(postgres)
    open_engine(url).dispose()
    return make_url(url.get_secret_value()).database or ""


@pytest.fixture
def new_postgres(postgres: SecretStr, postgres_template: str) -> Generator[NewLedger]:
    """Make empty ledgers on Postgres; each call makes one more."""
    made: list[str] = []

    def new() -> SecretStr:
        name = f"{postgres_template}_{os.urandom(4).hex()}"
        _run(postgres, f"CREATE DATABASE {name} TEMPLATE {postgres_template}")
        made.append(name)
        url = make_url(postgres.get_secret_value()).set(database=name)
        return SecretStr(url.render_as_string(hide_password=False))

    yield new
    for name in made:
        _run(postgres, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgres"])
def new_ledger(request: pytest.FixtureRequest) -> NewLedger:
    """Make empty ledgers, on SQLite and then on Postgres."""
    made: NewLedger = request.getfixturevalue(f"new_{request.param}")
    return made


def _run(server: SecretStr, *statements: str) -> None:
    url = make_url(server.get_secret_value()).set(drivername="postgresql+psycopg")
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()
