"""Detecting that a SQLite ledger's file was deleted or replaced while open.

A file that is deleted, moved or replaced while a process has it open takes all that is written to
it out of the world, and SQLite says nothing: the run would pay on and record it nowhere.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path


class LedgerFile:
    """A ledger's file and its write-ahead log, known by device and inode.

    While one connection is open SQLite deletes neither, so that another inode, or none, is somebody
    else's work. Looking costs two calls of ``stat``, some microseconds a transaction.

    Args:
        path: The database file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._log = path.with_name(f"{path.name}-wal")
        self._lock = threading.Lock()
        self._connections = 0
        self._known: dict[Path, tuple[int, int]] = {}

    def opened(self) -> None:
        """Count a connection, and learn what file the first one has."""
        with self._lock:
            self._connections += 1
        self.learn()

    def closed(self) -> None:
        """Take a connection off; nobody holds the files after the last one."""
        with self._lock:
            self._connections = max(0, self._connections - 1)
            if not self._connections:
                self._known.clear()

    def learn(self) -> None:
        """Learn which files there are, as far as they are not known yet."""
        for path in (self._path, self._log):
            if path not in self._known:
                status = _status(path)
                if status is not None:
                    with self._lock:
                        self._known.setdefault(path, (status.st_dev, status.st_ino))

    def loss(self) -> str | None:
        """Return what happened to the files since they were opened; None if nothing did."""
        for path, known in tuple(self._known.items()):
            status = _status(path)
            if status is None:
                return f"{path} was deleted or moved"
            if (status.st_dev, status.st_ino) != known:
                return f"{path} was replaced by another file"
            if path == self._path and not status.st_size:
                return f"{path} was emptied"
        return None


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None
