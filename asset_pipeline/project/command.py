"""Running the project's commands in a process of their own, and reading what they report.

A run stops in order only where it owns the process: its signals, its event loop, its memory. A
notebook's kernel has all three for itself, so what pays runs beside it and not in it.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import IO, Any

from asset_pipeline.errors import AssetPipelineError, ExitCode

_PROGRAM = "from asset_pipeline.cli import main; main()"
_INTERRUPTED = 130
_LONGEST = 2_000


class CommandFailedError(AssetPipelineError):
    """A command could not do what it was asked; the message is what it said.

    Attributes:
        exit_code: The command's: 2 for bad input or configuration, 3 for a refusal by a budget.
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        with contextlib.suppress(ValueError):
            self.exit_code = ExitCode(exit_code)


def run_command(
    arguments: Sequence[str], environment: Mapping[str, str]
) -> tuple[dict[str, Any], int]:
    """Run a command that reports one JSON document, and show on stderr what it says meanwhile.

    An interruption is handed on once; the command ends in order and is waited for.

    Args:
        arguments: Such as ``["plan", "--json"]``.
        environment: All of the process' environment.

    Returns:
        The document and the exit code.

    Raises:
        CommandFailedError: It reported nothing.
        KeyboardInterrupt: It was interrupted. What landed is kept.
    """
    process = subprocess.Popen(  # noqa: S603 -- our own program
        [sys.executable, "-c", _PROGRAM, *arguments],
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
        # A terminal's Ctrl-C would reach it as well, and twice is not in order.
        start_new_session=True,
    )
    said, written = list[str](), list[str]()
    readers = [
        threading.Thread(target=_show, args=(process.stderr, said), daemon=True),
        threading.Thread(target=_collect, args=(process.stdout, written), daemon=True),
    ]
    for reader in readers:
        reader.start()
    code = _wait(process)
    for reader in readers:
        reader.join()
    if code == _INTERRUPTED:
        raise KeyboardInterrupt
    try:
        document: dict[str, Any] | None = json.loads("".join(written))
    except ValueError:
        document = None
    if document is None:
        told = "".join(said).strip()[-_LONGEST:]
        raise CommandFailedError(told or f"The command ended with exit code {code}.", code)
    return document, code


def _wait(process: subprocess.Popen[str]) -> int:
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.send_signal(signal.SIGINT)
        process.wait()
        return _INTERRUPTED


def _show(stream: IO[str] | None, said: list[str]) -> None:
    for line in stream or ():
        said.append(line)
        sys.stderr.write(line)


def _collect(stream: IO[str] | None, written: list[str]) -> None:
    written.extend(stream or ())
