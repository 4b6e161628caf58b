"""The sandbox's memory: one SQLite file that survives restarts and serves several processes."""

from __future__ import annotations

import base64
import contextlib
import secrets
import sqlite3
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import NamedTuple

from asset_pipeline.files import keep_private, make_private_file, make_private_folder

MICROSECONDS = 1_000_000
# Seconds, 50 years: a clock that runs out of the calendar would stop every route that shows a time.
MOST_AHEAD = 50 * 365 * 86_400

_SCHEMA = """
CREATE TABLE IF NOT EXISTS predictions (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  model TEXT NOT NULL,
  version TEXT NOT NULL,
  deployment TEXT,
  kind TEXT NOT NULL,
  prompt TEXT NOT NULL,
  input TEXT NOT NULL,
  output TEXT NOT NULL,
  created_us INTEGER NOT NULL,
  starts_us INTEGER,
  ends_us INTEGER NOT NULL,
  deadline_us INTEGER,
  outcome TEXT NOT NULL,
  error TEXT,
  fault TEXT,
  audio_seconds REAL,
  swept INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS predictions_by_time ON predictions (created_us, seq);
CREATE INDEX IF NOT EXISTS predictions_to_sweep ON predictions (ends_us) WHERE swept = 0;
CREATE TABLE IF NOT EXISTS uploads (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  content_type TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  metadata TEXT NOT NULL,
  created_us INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS requests (route TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS traffic (
  class TEXT NOT NULL,
  second INTEGER NOT NULL,
  count INTEGER NOT NULL,
  PRIMARY KEY (class, second)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS fault_rules (
  position INTEGER PRIMARY KEY AUTOINCREMENT,
  rule TEXT NOT NULL,
  matched INTEGER NOT NULL DEFAULT 0,
  fired INTEGER NOT NULL DEFAULT 0,
  began_us INTEGER
);
CREATE TABLE IF NOT EXISTS fault_hits (
  position INTEGER NOT NULL,
  subject TEXT NOT NULL,
  count INTEGER NOT NULL,
  PRIMARY KEY (position, subject)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS webhooks (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  prediction_id TEXT NOT NULL,
  event TEXT NOT NULL,
  url TEXT NOT NULL,
  origin TEXT NOT NULL,
  tries INTEGER NOT NULL DEFAULT 0,
  next_us INTEGER NOT NULL DEFAULT 0,
  settled INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS webhooks_to_post ON webhooks (prediction_id, number) WHERE settled = 0;
CREATE TABLE IF NOT EXISTS settings (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  clock_offset_us INTEGER NOT NULL,
  faults_version INTEGER NOT NULL,
  webhook_secret TEXT NOT NULL
);
"""

# Columns that a state of an earlier release lacks; a user's sandbox keeps its state for months.
_LATER = (
    ("predictions", "account", "TEXT NOT NULL DEFAULT 'sandbox'"),
    ("predictions", "skew_us", "INTEGER NOT NULL DEFAULT 0"),
    ("predictions", "created_skew_us", "INTEGER NOT NULL DEFAULT 0"),
    ("predictions", "shown_id", "TEXT"),
    ("predictions", "webhook", "TEXT"),
    ("uploads", "account", "TEXT NOT NULL DEFAULT 'sandbox'"),
    ("settings", "skew_us", "INTEGER NOT NULL DEFAULT 0"),
    ("settings", "created_skew_us", "INTEGER NOT NULL DEFAULT 0"),
)


class Skew(NamedTuple):
    """How far the clock that clients see is off, in microseconds.

    Args:
        clock_us: Of every time that is shown.
        created_us: Of ``created_at`` alone, on top of it.
    """

    clock_us: int
    created_us: int


class State:
    """Connections to the state file, one a thread, and the server's clock.

    Args:
        state_dir: Folder of the state file and of the rendered outputs; created when missing.
    """

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir.resolve()
        self.path = self.state_dir / "sandbox.db"
        self._local = threading.local()
        make_private_folder(self.state_dir)
        if self.path.exists():  # of an earlier release, perhaps
            keep_private(self.state_dir, *self.state_dir.glob("sandbox.db*"))
        make_private_file(self.path)
        connection = self.connection
        connection.executescript(_SCHEMA)
        self._add_later_columns()
        secret = "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()
        connection.execute(
            "INSERT OR IGNORE INTO settings (one, clock_offset_us, faults_version, webhook_secret)"
            " VALUES (1, 0, 0, ?)",
            (secret,),
        )

    @property
    def connection(self) -> sqlite3.Connection:
        """This thread's connection, in autocommit mode."""
        existing: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if existing is not None:
            return existing
        connection = sqlite3.connect(self.path, timeout=30, isolation_level=None)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode = WAL")
        # A kill of the process loses nothing at NORMAL; only a power cut could.
        connection.execute("PRAGMA synchronous = NORMAL")
        self._local.connection = connection
        return connection

    @contextlib.contextmanager
    def transaction(self) -> Generator[sqlite3.Connection]:
        """Hold the write lock from the first statement, so that what was read stays true."""
        connection = self.connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")

    def now_us(self) -> int:
        """Return the server's time in microseconds since 1970; it can be set ahead.

        Lives are laid down on it: however far the clock that clients see is off, and whenever that
        changes, a prediction runs for as long as it was to run.
        """
        row = self.connection.execute("SELECT clock_offset_us FROM settings").fetchone()
        return time.time_ns() // 1000 + int(row[0])

    def advance(self, seconds: float) -> float | None:
        """Set the clock ahead for every process on this state; returns the whole offset.

        None, and nothing is changed, when it would be over :data:`MOST_AHEAD`.
        """
        row = self.connection.execute(
            "UPDATE settings SET clock_offset_us = clock_offset_us + :more"
            " WHERE abs(clock_offset_us + :more) <= :most RETURNING clock_offset_us",
            {"more": round(seconds * MICROSECONDS), "most": MOST_AHEAD * MICROSECONDS},
        ).fetchone()
        return None if row is None else int(row[0]) / MICROSECONDS

    def skew(self) -> Skew:
        """Return how far the clock that clients see is off."""
        row = self.connection.execute("SELECT skew_us, created_skew_us FROM settings").fetchone()
        return Skew(int(row[0]), int(row[1]))

    def set_skew(self, skew: Skew) -> None:
        """Put the clock that clients see off, for every process on this state."""
        self.connection.execute("UPDATE settings SET skew_us = ?, created_skew_us = ?", skew)

    def shown_us(self) -> int:
        """Return the time that clients see, in microseconds since 1970."""
        return self.now_us() + self.skew().clock_us

    def webhook_secret(self) -> str:
        """Return the account's signing secret, ``whsec_...``."""
        row = self.connection.execute("SELECT webhook_secret FROM settings").fetchone()
        return str(row[0])

    def _add_later_columns(self) -> None:
        with self.transaction() as connection:
            for table, column, form in _LATER:
                known = connection.execute(f"PRAGMA table_info({table})").fetchall()
                if column not in {row["name"] for row in known}:
                    connection.execute(f"ALTER TABLE {table} ADD COLUMN {column} {form}")

    def close(self) -> None:
        """Close this thread's connection."""
        existing: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if existing is not None:
            existing.close()
            self._local.connection = None
