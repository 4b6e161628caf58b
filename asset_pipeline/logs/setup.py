"""Switching the logs on, once a process, where work begins: importing switches on nothing."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Callable, Generator, Iterable
from pathlib import Path

from asset_pipeline.disclosure.redactor import Redactor
from asset_pipeline.disclosure.terminal import without_commands
from asset_pipeline.logs.formats import JsonLines, Sentences, sentence
from asset_pipeline.logs.redaction import RedactingFilter
from asset_pipeline.logs.rotating_file import SharedRotatingFile

# A clip writes four lines of 400 bytes: five files hold the last sixty thousand clips.
_MAX_BYTES = 20_000_000
_BACKUPS = 5

# More would bury what else an event log has to say; the file has them all.
_FORWARDED = 20

_OURS = logging.getLogger("asset_pipeline")
# It tells each request's whole URL, and whoever owns the root logger may print that.
_HTTPX = logging.getLogger("httpx")


def start_logging(path: Path, secrets: Iterable[str]) -> None:
    """Write this package's records to ``path`` and its warnings to the console as well.

    Calling it again changes nothing but the path and the secrets. Other packages' loggers and the
    root logger stay as they are.

    Args:
        path: The newest JSON Lines file.
        secrets: Never to be written.
    """
    hidden = frozenset(secrets)
    if any(
        isinstance(handler, _File) and (handler.path, handler.hidden) == (path, hidden)
        for handler in _OURS.handlers
    ):
        return
    stop_logging()
    redacting = RedactingFilter(Redactor(hidden))
    to_file = _File(path, hidden)
    to_file.setFormatter(JsonLines())
    to_console = _Console(logging.WARNING)
    to_console.setFormatter(Sentences())
    for handler in (to_file, to_console):
        handler.addFilter(redacting)
        _OURS.addHandler(handler)
    _OURS.setLevel(logging.INFO)
    _HTTPX.addFilter(redacting)


def stop_logging() -> None:
    """Close what :func:`start_logging` opened."""
    for handler in list(_OURS.handlers):
        if isinstance(handler, _File | _Console):
            _OURS.removeHandler(handler)
            handler.close()
    for redacting in list(_HTTPX.filters):
        if isinstance(redacting, RedactingFilter):
            _HTTPX.removeFilter(redacting)


@contextlib.contextmanager
def warnings_told_to(tell: Callable[[str], None]) -> Generator[None]:
    """Pass the warnings of the block on as sentences, to an event log such as Dagster's.

    The first few only, and instead of the console, where that log is shown anyway.
    """
    forwarder = _Forwarder(tell)
    _OURS.addHandler(forwarder)
    try:
        yield
    finally:
        _OURS.removeHandler(forwarder)


class _File(SharedRotatingFile):
    def __init__(self, path: Path, hidden: frozenset[str]) -> None:
        super().__init__(path, max_bytes=_MAX_BYTES, backups=_BACKUPS)
        self.hidden = hidden


class _Console(logging.Handler):
    """Writes to whatever standard error is at the moment: progress bars put themselves there."""

    def emit(self, record: logging.LogRecord) -> None:
        if any(isinstance(handler, _Forwarder) for handler in _OURS.handlers):
            return
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(f"{without_commands(self.format(record))}\n")


class _Forwarder(logging.Handler):
    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._tell = tell
        self._told = 0
        self.addFilter(RedactingFilter(Redactor()))

    def emit(self, record: logging.LogRecord) -> None:
        self._told += 1
        if self._told <= _FORWARDED:
            self._tell(sentence(record))
        elif self._told == _FORWARDED + 1:
            self._tell("More warnings are in the log file alone.")
