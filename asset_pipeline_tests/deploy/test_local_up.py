"""`deploy/local/up`: a team's processes on loopback make a partition together."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

pytest.importorskip("dagster_celery", reason="the extra `team` is not installed")

pytestmark = pytest.mark.slow

_ROOT = Path(__file__).parents[2]
_Found = TypeVar("_Found")
_RUNS = """{runsOrError {... on Runs {results {status tags {key value}}}}}"""


def _ask(address: str, body: dict[str, Any] | None = None) -> Any:  # noqa: ANN401 -- JSON
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(address, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(asked, timeout=20) as answer:
        return json.load(answer)


def _wait(look: Callable[[], _Found], process: subprocess.Popen[str]) -> _Found:
    give_up = time.monotonic() + 150
    while not (found := look()):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < give_up, "it took too long"
        time.sleep(0.5)
    return found


@pytest.mark.servers
@pytest.mark.timeout(300)
def test_a_partition_goes_through_every_process(clean_environment: Path) -> None:
    """An order at the service is a run of the daemon's on a Celery worker, and ends as a clip.

    Dagster and the ledger are on Postgres, and at the end no process is left.
    """
    home = clean_environment / "team"
    (clean_environment / "prompts").mkdir()
    up = subprocess.Popen(
        [_ROOT / "deploy/local/up", "--home", home, "--port", "0", "--service-port", "0"],
        env=os.environ | {"ASSET_PIPELINE_PROMPTS_DIR": str(clean_environment / "prompts")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        _wait((home / "addresses.json").exists, up)
        where = json.loads((home / "addresses.json").read_text())
        order = {"kind": "image", "text": "a red door", "id": "red-door"}
        job = _ask(f"{where['service']}/api/v1/generations", order)
        assert job["state"] == "queued"
        clips = _wait(lambda: _ask(f"{where['service']}/api/v1/clips")["items"], up)
        assert [clip["prompt_id"] for clip in clips] == ["red-door"]

        def ended() -> list[dict[str, Any]]:
            runs = _ask(f"{where['dagster']}/graphql", {"query": _RUNS})
            found = runs["data"]["runsOrError"]["results"]
            return found if all(run["status"] == "SUCCESS" for run in found) else []

        (run,) = _wait(ended, up)
        tags = {tag["key"]: tag["value"] for tag in run["tags"]}
        assert tags["dagster/partition"] == "red-door"
        assert tags["dagster-celery/task_id"], "a Celery worker had it"
    finally:
        up.send_signal(signal.SIGTERM)
        said, _ = up.communicate(timeout=60)
    assert up.returncode == 0, said
    time.sleep(2)  # the sandbox ends its server in order
    left = subprocess.run(["pgrep", "-f", str(home)], capture_output=True, text=True, check=False)
    assert not left.stdout.split(), "processes are left"
