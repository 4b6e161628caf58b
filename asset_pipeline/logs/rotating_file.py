"""A log file that many processes append to at once, and rotate without losing a line."""

from __future__ import annotations

import fcntl
import logging
import os
import sys
from pathlib import Path

from asset_pipeline.files import keep_private, make_private_folder

_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
_MODE = 0o600


class SharedRotatingFile(logging.Handler):
    """Appends each record with one write, which the kernel puts at the end of the file whole.

    Whoever finds the file full renames it under a lock; the others see that the name leads to
    another file and follow. A line that was on its way goes to the end of the renamed file.

    Args:
        path: The newest file; older ones are ``path.1``, ``path.2`` and so on.
        max_bytes: When a file is full.
        backups: How many older files are kept.
    """

    def __init__(self, path: Path, *, max_bytes: int, backups: int) -> None:
        super().__init__()
        self.path = path
        self._max_bytes = max_bytes
        self._backups = backups
        self._file: int | None = None
        self._identity: tuple[int, int] | None = None
        self._torn = False
        self._complained = False

    def emit(self, record: logging.LogRecord) -> None:
        """Append a record; a disk that is full or read-only stops nobody's work."""
        try:
            line = f"{self.format(record)}\n".encode(errors="backslashreplace")
            self._append(b"\n" + line if self._torn else line)
        except OSError as error:
            self._complain(error)
        except Exception:  # noqa: BLE001 -- logging must not end what it reports on
            self.handleError(record)

    def close(self) -> None:
        """Close the file."""
        self.acquire()
        try:
            self._let_go()
        finally:
            self.release()
        super().close()

    def _append(self, line: bytes) -> None:
        written = os.write(self._writable(len(line)), line)
        self._torn = written < len(line)

    def _writable(self, length: int) -> int:
        """Return a descriptor of the file under our name that has room for a line."""
        found = self._look()
        if found is not None and found.st_size and found.st_size + length > self._max_bytes:
            self._rotate(length)
            found = self._look()
        if self._file is None or found is None or self._identity != (found.st_dev, found.st_ino):
            self._let_go()
            return self._open()
        return self._file

    def _open(self) -> int:
        make_private_folder(self.path.parent)
        self._file = os.open(self.path, _APPEND, _MODE)
        keep_private(self.path)  # of an earlier release
        opened = os.fstat(self._file)
        self._identity = (opened.st_dev, opened.st_ino)
        return self._file

    def _look(self) -> os.stat_result | None:
        try:
            return os.stat(self.path)  # noqa: PTH116 -- at each record: a Path's own takes twice as long
        except FileNotFoundError:
            return None

    def _rotate(self, length: int) -> None:
        lock = os.open(
            self.path.with_name(f".{self.path.name}.lock"), os.O_CREAT | os.O_RDWR, _MODE
        )
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            found = self._look()
            if found is None or found.st_size + length <= self._max_bytes:
                return  # somebody else was first
            for number in range(self._backups, 0, -1):
                older = self._numbered(number - 1)
                if older.exists():
                    older.replace(self._numbered(number))
        finally:
            os.close(lock)

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}") if number else self.path

    def _let_go(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = self._identity = None

    def _complain(self, error: OSError) -> None:
        """Say once that nothing can be logged; never what would have been."""
        if not self._complained:
            self._complained = True
            sys.stderr.write(f"The log {self.path} cannot be written: {error.strerror}.\n")
