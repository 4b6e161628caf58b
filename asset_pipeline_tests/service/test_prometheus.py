"""A real Prometheus scrapes a real run; rules and dashboards are made of what it then knows."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from asset_pipeline_tests.service.conftest import Served

OBSERVABILITY = Path(__file__).parents[2] / "deploy" / "observability"

needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None or shutil.which("promtool") is None,
    reason="prometheus is not installed: `make system-tools`, on Debian",
)


@contextmanager
def _listening(served: Served) -> Generator[int]:
    """The service of a test on a port, for a program that is not this one."""
    config = uvicorn.Config(served.client.app, log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        server.should_exit = True
        thread.join(timeout=10)


@contextmanager
def _prometheus(folder: Path, target: int) -> Generator[httpx.Client]:
    """Debian's Prometheus with the project's rules, scraping a port five times a second."""
    shutil.copy(OBSERVABILITY / "asset_pipeline.rules.yml", folder)
    text = (OBSERVABILITY / "prometheus.yml").read_text().replace("15s", "200ms")
    (folder / "prometheus.yml").write_text(text.replace("127.0.0.1:8484", f"127.0.0.1:{target}"))
    assert f"127.0.0.1:{target}" in (folder / "prometheus.yml").read_text()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = [f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder}/tsdb"]
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen(
            ["prometheus", *arguments, f"--web.listen-address=127.0.0.1:{port}"],
            stdout=log,
            stderr=log,
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1", timeout=10) as client:
            yield client
    finally:
        process.kill()
        process.wait()


def _ask(client: httpx.Client, query: str) -> list[Any]:
    answer = client.get("/query", params={"query": query})
    assert answer.status_code == 200, f"{query}: {answer.text}"
    return answer.json()["data"]["result"]


def _wait_for(client: httpx.Client, query: str, seconds: float = 30) -> list[Any]:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if found := _ask(client, query):
                return found
        except (httpx.TransportError, AssertionError):
            pass  # it is starting
        time.sleep(0.1)
    return []


@needs_prometheus
def test_prometheus_knows_what_a_run_cost(served: Served, tmp_path: Path) -> None:
    """Every query of every dashboard and rule can be asked, and the money is the ledger's."""
    served.order(kind="image", text="A red fox")
    assert [result.success for result in served.work()] == [True]
    with _listening(served) as target, _prometheus(tmp_path, target) as client:
        (cost,) = _wait_for(client, "sum(asset_pipeline_cost_usd_total)")
        assert cost["value"][1] == "0.003"
        (landed,) = _ask(client, 'asset_pipeline_generations_total{state="delivered"}')
        assert landed["value"][1] == "1"
        assert _ask(client, 'up{job="asset_pipeline"} == 1')
        names = set(client.get("/label/__name__/values").json()["data"])
        for board in sorted((OBSERVABILITY / "grafana").glob("*.json")):
            for panel in json.loads(board.read_text())["panels"]:
                for each in panel["targets"]:
                    _ask(client, each["expr"])
                    _check_names(each["expr"], names)
        groups = client.get("/rules").json()["data"]["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        assert {rule["health"] for rule in rules} <= {"ok", "unknown"}
        assert len(rules) == 14


# Nothing of the kind has happened in one good run.
_NOT_YET = {"asset_pipeline_cache_hits_total", "asset_pipeline_reviews_total"}
_NOT_YET |= {"asset_pipeline_breaker_state", "asset_pipeline_budget_cap_usd"}
_NOT_YET |= {"asset_pipeline_budget_headroom_usd"}


def _check_names(query: str, names: set[str]) -> None:
    """A dashboard that asks for a metric that is not there shows nothing, and nobody sees why."""
    asked = set(re.findall(r"\basset_pipeline_[a-z_]+", query))
    assert asked <= names | _NOT_YET, query


@needs_prometheus
def test_the_alerts_come_when_they_should() -> None:
    """The project's own tests of its rules, by promtool."""
    done = subprocess.run(
        ["promtool", "test", "rules", "asset_pipeline.rules.test.yml"],
        cwd=OBSERVABILITY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
