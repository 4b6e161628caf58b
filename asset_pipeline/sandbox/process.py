"""One sandbox server a state folder, started by whoever needs it first."""

from __future__ import annotations

import contextlib
import fcntl
import json
import subprocess
import sys
import time
from collections.abc import Generator
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.files import make_private_file, make_private_folder, write_atomically
from asset_pipeline.processes import this_process

_START_SECONDS = 60.0
_LOOK_SECONDS = 0.05
_HEALTH_SECONDS = 5.0


class SandboxError(AssetPipelineError):
    """The sandbox server did not start."""


@dataclass(frozen=True, slots=True)
class ServerRecord:
    """Where a server runs, as it wrote it down itself.

    Attributes:
        process: Which process it is: its number alone may be another's in another container.
    """

    url: str
    pid: int
    process: str


def ensure_running(
    state_dir: Path, *, idle_seconds: float = 300, config_dir: Path | None = None
) -> str:
    """Return the base URL of the server on ``state_dir``, starting one if none is healthy.

    The server is a process of its own: it outlives its starter, shares neither its terminal nor
    its pipes, and ends by itself. Any number of processes may call this at once; one of them
    starts the server.

    Args:
        state_dir: Folder of the server's state; created when missing.
        idle_seconds: How long a server started here stays without being asked anything.
        config_dir: Folder whose ``models.yaml`` a server started here overlays on the catalog.

    Raises:
        SandboxError: The server could not be started; the error ends with its log's last line.
    """
    state_dir = state_dir.resolve()
    if (url := _healthy(state_dir)) is not None:
        return url
    make_private_folder(state_dir)
    with _locked(state_dir):
        if (url := _healthy(state_dir)) is not None:
            return url
        return _start(state_dir, idle_seconds, config_dir)


def record_path(state_dir: Path) -> Path:
    """Return where a server writes down its URL and process id."""
    return state_dir / "server.json"


def write_record(state_dir: Path, url: str) -> None:
    """Write down that this process serves ``state_dir``."""
    process = this_process()
    record = {"url": url, "pid": process.pid, "process": process.to_text()}
    write_atomically(record_path(state_dir), json.dumps(record), private=True)


def remove_record(state_dir: Path) -> None:
    """Remove this process's record; another's is left alone."""
    record = read_record(state_dir)
    if record is not None and record.process == this_process().to_text():
        record_path(state_dir).unlink(missing_ok=True)


def read_record(state_dir: Path) -> ServerRecord | None:
    """Return the record, None when there is none that can be read."""
    try:
        values = json.loads(record_path(state_dir).read_text())
        return ServerRecord(str(values["url"]), int(values["pid"]), str(values["process"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _healthy(state_dir: Path) -> str | None:
    """Return the recorded server's URL if it answers and serves this very folder."""
    record = read_record(state_dir)
    if record is None:
        return None
    try:
        # Plain http.client: no proxy from the environment, and a tenth of httpx's import time in
        # processes that ask for nothing else.
        connection = HTTPConnection(urlsplit(record.url).netloc, timeout=_HEALTH_SECONDS)
        with contextlib.closing(connection):
            connection.request("GET", "/sandbox/health")
            said = json.loads(connection.getresponse().read())["state_dir"]
    except (OSError, HTTPException, ValueError, KeyError, TypeError):
        return None
    return record.url if said == str(state_dir) else None


@contextlib.contextmanager
def _locked(state_dir: Path) -> Generator[None]:
    # The kernel lets go of the lock when its holder dies.
    lock = state_dir / "start.lock"
    make_private_file(lock)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _start(state_dir: Path, idle_seconds: float, config_dir: Path | None) -> str:
    record_path(state_dir).unlink(missing_ok=True)
    command = [sys.executable, "-m", "asset_pipeline.sandbox", "--state-dir", str(state_dir)]
    command += ["--port", "0", "--idle-seconds", str(idle_seconds)]
    if config_dir is not None:
        command += ["--config-dir", str(config_dir.resolve())]
    log_path = state_dir / "server.log"
    make_private_file(log_path)
    with log_path.open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 -- our own interpreter and module
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd=state_dir,
        )
    give_up = time.monotonic() + _START_SECONDS
    while time.monotonic() < give_up:
        if (url := _healthy(state_dir)) is not None:
            return url
        if process.poll() is not None:
            break
        time.sleep(_LOOK_SECONDS)
    lines = log_path.read_text(errors="replace").strip().splitlines()
    raise SandboxError(
        f"The sandbox server for {state_dir} did not start: {lines[-1] if lines else 'no word'}.",
        hint=f"Its log is {log_path}.",
    )
