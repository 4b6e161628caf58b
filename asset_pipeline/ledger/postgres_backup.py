"""Backup and restore of a ledger on Postgres, by Postgres' own tools.

SQLite's are in `backup`. A password goes to the tools by their environment, never by their
arguments, which everybody on the machine can read.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import create_engine, inspect
from sqlalchemy.engine import URL

from asset_pipeline.errors import ConfigurationError
from asset_pipeline.files import atomic_path
from asset_pipeline.ledger.engine import LedgerError, parse_url

_CUSTOM_FORMAT = b"PGDMP"


def is_on_postgres(url: SecretStr) -> bool:
    """Tell whether a ledger is on Postgres."""
    return parse_url(url).get_backend_name() == "postgresql"


def dump(url: SecretStr, target: Path) -> int:
    """Write the ledger's tables as they are at one moment to a new file, and read it back.

    Returns:
        The file's size in bytes.

    Raises:
        LedgerError: The ledger can't be read, or the target exists.
        ConfigurationError: ``pg_dump`` is not installed.
    """
    if target.exists():
        raise LedgerError(f"{target} exists already.", hint="Choose another name.")
    parsed = parse_url(url)
    with atomic_path(target, private=True) as temporary:
        options = ["--format=custom", "--no-owner", "--no-privileges", f"--file={temporary}"]
        _run("pg_dump", options, parsed)
        _verify(temporary)
    return target.stat().st_size


def load(url: SecretStr, source: Path) -> None:
    """Put a dump into an empty database, all of it or nothing.

    Raises:
        LedgerError: The file is no dump, or the database has tables already.
        ConfigurationError: ``pg_restore`` is not installed.
    """
    if not source.is_file():
        raise LedgerError(f"There is no backup {source}.", hint="Give the backup's file.")
    _verify(source)
    parsed = parse_url(url)
    engine = create_engine(parsed.set(drivername="postgresql+psycopg"))
    try:
        tables = inspect(engine).get_table_names()
    finally:
        engine.dispose()
    if tables:
        raise LedgerError(
            f"The database {parsed.database} holds {len(tables)} tables already.",
            hint="Make an empty one (createdb), restore into it, and let "
            "ASSET_PIPELINE_LEDGER_URL name it: the former one is kept so.",
        )
    options = ["--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error"]
    _run("pg_restore", [*options, f"--dbname={parsed.database}", str(source)], parsed)


def _verify(path: Path) -> None:
    with path.open("rb") as file:
        is_dump = file.read(len(_CUSTOM_FORMAT)) == _CUSTOM_FORMAT
    if not is_dump:
        raise LedgerError(
            f"{path} is not a dump of Postgres.", hint="Give a file that `ledger backup` wrote."
        )
    listed = _run("pg_restore", ["--list", str(path)], None)
    if "intents" not in listed:
        raise LedgerError(f"{path} holds no ledger.", hint="Give a backup of the ledger.")


def _run(tool: str, options: list[str], url: URL | None) -> str:
    """Run one of Postgres' tools and return what it said.

    Raises:
        LedgerError: It failed; its first lines say why.
        ConfigurationError: It is not installed.
    """
    program = shutil.which(tool)
    if program is None:
        raise ConfigurationError(
            f"{tool} is not installed, and a ledger on Postgres is copied with it.",
            hint="Install the client tools of the server's release: postgresql-client.",
        )
    environment = dict(os.environ)
    if url is not None:
        environment |= _address(url)
    done = subprocess.run(  # noqa: S603 -- a constant tool; no argument holds foreign text
        [program, *options], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        why = "; ".join(done.stderr.strip().splitlines()[:2]) or "it said nothing"
        raise LedgerError(
            f"{tool} failed: {why}.",
            hint="Check the ledger's address and rights, and that the tools are not older than "
            "the server.",
        )
    return done.stdout


def _address(url: URL) -> dict[str, str]:
    """Return a database's address as the variables that Postgres' tools read."""
    host = url.host or url.query.get("host")
    given = {
        "PGHOST": host if isinstance(host, str) else None,
        "PGPORT": str(url.port) if url.port else None,
        "PGUSER": url.username,
        "PGPASSWORD": str(url.password) if url.password else None,
        "PGDATABASE": url.database,
    }
    ssl = url.query.get("sslmode")
    given["PGSSLMODE"] = ssl if isinstance(ssl, str) else None
    return {name: value for name, value in given.items() if value}
