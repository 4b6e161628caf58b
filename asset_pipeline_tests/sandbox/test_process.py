"""Servers as processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from asset_pipeline.processes import this_process
from asset_pipeline.sandbox.process import (
    SandboxError,
    ensure_running,
    read_record,
    record_path,
    remove_record,
    write_record,
)
from asset_pipeline_tests.support.settled_files import write_settled

pytestmark = pytest.mark.servers

ASK = (
    "import sys; from pathlib import Path;"
    "from asset_pipeline.sandbox.process import ensure_running;"
    "print(ensure_running(Path(sys.argv[1]), idle_seconds=60))"
)


@pytest.fixture(name="state_dir")
def _state_dir(tmp_path: Path) -> Iterator[Path]:
    """A state folder whose server, if one was started, ends with the test."""
    folder = tmp_path / "state"
    yield folder
    record = read_record(folder)
    if record is not None and _alive(record.pid):
        os.kill(record.pid, signal.SIGTERM)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"


def _until(holds: Callable[[], bool], seconds: float = 15) -> bool:
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def test_many_starters_one_server(state_dir: Path) -> None:
    """Eight processes that start at once get the same server, and it outlives them all."""
    asking = [
        subprocess.Popen(
            [sys.executable, "-c", ASK, str(state_dir)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(8)
    ]
    urls = {process.communicate(timeout=60)[0].strip() for process in asking}
    assert len(urls) == 1
    url = urls.pop()
    health = httpx.get(f"{url}/sandbox/health", trust_env=False).json()
    assert health["state_dir"] == str(state_dir.resolve())
    assert os.getsid(health["pid"]) == health["pid"] != os.getsid(0)
    assert ensure_running(state_dir) == url

    # A killed server leaves its record behind; that is noticed, and another takes its place.
    os.kill(health["pid"], signal.SIGKILL)
    assert _until(lambda: not _alive(health["pid"]))
    again = ensure_running(state_dir, idle_seconds=1)
    record = read_record(state_dir)
    assert record is not None
    assert (record.url, record.pid != health["pid"]) == (again, True)

    # Nobody asks it for anything: it goes, and takes its record with it.
    assert _until(lambda: not record_path(state_dir).exists())
    assert _until(lambda: not _alive(record.pid))


def test_another_folders_server_is_not_taken(state_dir: Path, tmp_path: Path) -> None:
    """A record that points to the server of another folder, as a copied one does, is stale."""
    url = ensure_running(state_dir, idle_seconds=60)
    copied = tmp_path / "copied"
    copied.mkdir()
    record_path(copied).write_text(record_path(state_dir).read_text())
    other = ensure_running(copied, idle_seconds=0.5)
    assert other != url

    # A folder removed under its server ends the server.
    pid = httpx.get(f"{url}/sandbox/health", trust_env=False).json()["pid"]
    for path in state_dir.glob("sandbox.db*"):
        path.unlink()
    assert _until(lambda: not _alive(pid))


def test_a_server_that_cannot_start_says_why(state_dir: Path, tmp_path: Path) -> None:
    """The error names the log and its last line, the catalog's complaint here."""
    config = tmp_path / "config"
    config.mkdir()
    write_settled(config / "models.yaml", "nonsense: 1\n")
    with pytest.raises(SandboxError, match=r"models\.yaml") as caught:
        ensure_running(state_dir, config_dir=config)
    assert "server.log" in caught.value.hint


def test_commands_end_cleanly(tmp_path: Path) -> None:
    """A taken port is a sentence and exit code 2; SIGTERM ends a server and removes its record."""
    command = [sys.executable, "-m", "asset_pipeline.sandbox", "--state-dir"]
    with subprocess.Popen(
        [*command, str(tmp_path / "one"), "--predict-seconds", "0.1-0.2"],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        taken = subprocess.run(
            [*command, str(tmp_path / "two"), "--port", url.rpartition(":")[2]],
            capture_output=True,
            text=True,
            check=False,
        )
        assert taken.returncode == 2
        assert "cannot listen" in taken.stderr
        assert "Traceback" not in taken.stderr
        process.terminate()
        assert process.wait(10) == 0
    assert read_record(tmp_path / "one") is None


def test_a_server_says_that_an_earlier_plan_is_in_force(tmp_path: Path) -> None:
    """Rules outlive the server that they were given to; whoever starts the next one is told."""
    plan = tmp_path / "plan.yaml"
    plan.write_text("faults:\n  - {fault: blank}\n  - {fault: slow}\n")
    command = [sys.executable, "-m", "asset_pipeline.sandbox", "--state-dir", str(tmp_path / "s")]
    for more in (["--faults", str(plan)], []):
        process = subprocess.Popen(
            [*command, *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stderr is not None
        url, told = process.stdout.readline().strip(), process.stderr.readline()
        process.terminate()
        process.communicate(timeout=30)
        assert f"2 fault rules are in force; DELETE {url}/sandbox/faults" in told


def test_a_servers_clock_can_be_off_from_its_start(tmp_path: Path) -> None:
    """The command takes the skew, says that the clock is off, and refuses what is no skew."""
    command = [sys.executable, "-c", "from asset_pipeline.cli import main; main()"]
    command += ["sandbox", "serve", "--port", "0", "--state-dir", str(tmp_path / "s")]
    refused = subprocess.run(
        [*command, "--clock-skew", "nan"], capture_output=True, text=True, check=False
    )
    assert refused.returncode == 2
    assert "clock" in refused.stderr
    process = subprocess.Popen(
        [*command, "--clock-skew", "-90", "--created-skew", "5"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    url, told = process.stdout.readline().strip(), process.stderr.readline()
    clock = httpx.get(f"{url}/sandbox/faults", trust_env=False).json()["clock"]
    process.terminate()
    process.communicate(timeout=30)
    assert clock == {"skew_seconds": -90.0, "created_at_seconds": 5.0}
    assert f"The clock is off; DELETE {url}/sandbox/faults" in told


def test_a_server_leaves_the_record_of_another_with_its_number(state_dir: Path) -> None:
    """In another container another server may have the same process id."""
    state_dir.mkdir()
    write_record(state_dir, "http://127.0.0.1:1")
    own = record_path(state_dir).read_text()
    twins = {**json.loads(own), "process": replace(this_process(), pid_namespace="x").to_text()}
    record_path(state_dir).write_text(json.dumps(twins))
    remove_record(state_dir)
    assert record_path(state_dir).exists()
    record_path(state_dir).write_text(own)
    remove_record(state_dir)
    assert not record_path(state_dir).exists()
