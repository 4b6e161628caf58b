"""A project of its own under `dagster dev`, for benchmarks that go through the daemon."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parent.parent
PATIENCE = 600.0

_LAUNCH = """
mutation Launch($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}
"""
_BACKFILL = """
query Backfill($id: String!) {
  partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } }
}
"""
_RUNS = """
query Runs {
  runsOrError {
    ... on Runs { results { runId status jobName parentRunId startTime endTime } }
  }
}
"""
_PARTITIONS = """
query Partitions {
  assetNodeOrError(assetKey: {path: ["image"]}) {
    ... on AssetNode { partitionKeys partitionStats { numMaterialized numFailed } }
  }
}
"""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@dataclass
class Workspace:
    """A project folder and the Dagster processes that serve it.

    Attributes:
        folder: Prompts, data, configuration and Dagster's own files are made in it.
        url: The sandbox's address.
        settings: Environment variables beyond those that name the folders.
        loads: What `dagster dev` is told to load; this project, if not said.
    """

    folder: Path
    url: str
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    loads: Sequence[str] = ("-w", str(ROOT / "workspace.yaml"))
    port: int = field(default_factory=free_port)
    _dagster: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        """Configure the instance as this project's own is."""
        home = self.folder / "dagster_home"
        home.mkdir(exist_ok=True)
        shutil.copy(ROOT / "dagster_home" / "dagster.yaml", home)

    @property
    def environment(self) -> dict[str, str]:
        """What the project's processes see: this folder, and the sandbox's address."""
        return {
            **{name: value for name, value in os.environ.items() if "PIPELINE" not in name},
            "DAGSTER_HOME": str(self.folder / "dagster_home"),
            "ASSET_PIPELINE_PROVIDER": "sandbox",
            "REPLICATE_BASE_URL": self.url,
            "ASSET_PIPELINE_PROMPTS_DIR": str(self.folder / "prompts"),
            "ASSET_PIPELINE_DATA_DIR": str(self.folder / "data"),
            "ASSET_PIPELINE_CONFIG_DIR": str(self.folder / "config"),
            "ASSET_PIPELINE_LEDGER_URL": f"sqlite:///{self.ledger}",
            "ASSET_PIPELINE_RATE_LIMIT_PER_MINUTE": "0",
            **self.settings,
        }

    @property
    def ledger(self) -> Path:
        """The ledger's file."""
        return self.folder / "data" / "ledger.db"

    def start(self) -> None:
        """Start `dagster dev` and wait until it answers."""
        command = [sys.executable, "-m", "dagster", "dev", "-h", "127.0.0.1", "-p", str(self.port)]
        with (self.folder / "dagster.log").open("ab") as log:
            self._dagster = subprocess.Popen(
                [*command, *self.loads],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_default_signals,  # noqa: PLW1509 -- no threads run here yet
            )
        until(self._answers, "Dagster answers")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal to all of Dagster's processes and wait for their end."""
        if self._dagster is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._dagster.pid, number)
            self._dagster.wait(60)
            self._dagster = None

    def ask(self, query: str, **variables: object) -> dict[str, Any]:
        """Ask Dagster's GraphQL."""
        reply = httpx.post(
            f"http://127.0.0.1:{self.port}/graphql",
            json={"query": query, "variables": variables},
            timeout=60,
            trust_env=False,
        )
        document = reply.raise_for_status().json()
        if document.get("errors"):
            raise RuntimeError(document["errors"])
        data: dict[str, Any] = document["data"]
        return data

    def partitions(self) -> dict[str, Any]:
        """Return the image asset's partitions and their figures."""
        found: dict[str, Any] = self.ask(_PARTITIONS)["assetNodeOrError"]
        return found

    def launch(self, partitions: Sequence[str]) -> str:
        """Launch a backfill of some images, as the UI does; return its id."""
        params = {"assetSelection": [{"path": ["image"]}], "partitionNames": list(partitions)}
        launched = self.ask(_LAUNCH, params=params)["launchPartitionBackfill"]
        if "backfillId" not in launched:
            raise RuntimeError(launched)
        backfill: str = launched["backfillId"]
        return backfill

    def backfill_status(self, backfill: str) -> str:
        """Return how a backfill stands."""
        status: str = self.ask(_BACKFILL, id=backfill)["partitionBackfillOrError"]["status"]
        return status

    def runs(self) -> list[dict[str, Any]]:
        """Return the clip runs, newest first."""
        found: list[dict[str, Any]] = self.ask(_RUNS)["runsOrError"]["results"]
        return [run for run in found if run["runId"] in self._paying_runs() or run["parentRunId"]]

    def workers(self) -> list[int]:
        """Return the process ids of the workers that have not ended."""
        return [row[0] for row in self._select("SELECT pid FROM workers WHERE ended_at IS NULL")]

    def _paying_runs(self) -> set[str]:
        return {row[0] for row in self._select("SELECT run_id FROM workers")}

    def _select(self, query: str) -> list[tuple[Any, ...]]:
        if not self.ledger.exists():
            return []
        with contextlib.closing(sqlite3.connect(self.ledger, timeout=30)) as connection:
            return connection.execute(query).fetchall()

    def _answers(self) -> bool:
        with contextlib.suppress(httpx.HTTPError, KeyError):
            return "partitionKeys" in self.partitions()
        return False


def until(happened: Callable[[], bool], what: str) -> None:
    limit = time.monotonic() + PATIENCE
    while not happened():
        if time.monotonic() > limit:
            raise TimeoutError(f"waited {PATIENCE:.0f} s in vain: {what}")
        time.sleep(0.2)


def _default_signals() -> None:
    """A parent that ignores these hands that on, and Dagster would not stop for them."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
