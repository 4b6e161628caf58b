"""Kill a backfill's process under `dagster dev`; the daemon alone must bring it to its end.

Two rounds. In the first the run worker gets SIGKILL: the code server notices. In the second the
worker, the code server, the daemon and the web server all get it at once, as in a power cut, and
Dagster is started anew: only the ledger knows that the run is dead. Nobody touches anything then.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml
from pydantic import SecretStr

from asset_pipeline.clock import SystemClock
from asset_pipeline.ledger.caps import BudgetCaps
from asset_pipeline.ledger.engine import open_engine
from asset_pipeline.ledger.ledger import Ledger
from asset_pipeline_tests.crash.site import Site, open_site

_ROOT = Path(__file__).parent.parent
_VARIANTS = 2
_PATIENCE = 240.0

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
query Runs { runsOrError { ... on Runs { results { runId status jobName parentRunId } } } }
"""
_PARTITIONS = """
query Partitions {
  assetNodeOrError(assetKey: {path: ["image"]}) {
    ... on AssetNode { partitionKeys partitionStats { numMaterialized numFailed } }
  }
}
"""


def main(arguments: Sequence[str]) -> int:
    """Run both rounds and print their figures; 0 when every account agrees."""
    parser = argparse.ArgumentParser(prog="daemon_kill", description=__doc__)
    parser.add_argument("--prompts", type=int, default=40, help=f"of {_VARIANTS} variants each")
    parser.add_argument("--seconds", default="2", help="how long a prediction takes")
    given = parser.parse_args(arguments)
    print(f"{given.prompts} prompts of {_VARIANTS} variants, {given.seconds} s a prediction")
    rounds = [
        _round("the run worker is killed", given.prompts, given.seconds, power_cut=False),
        _round("everything is killed at once", given.prompts, given.seconds, power_cut=True),
    ]
    return 0 if all(rounds) else 1


@dataclass
class Times:
    """When things happened, in seconds since the kill."""

    killed_at: float = 0.0
    seen: dict[str, float] = field(default_factory=dict[str, float])

    def mark(self, what: str) -> None:
        """Note that something has happened now, if it had not before."""
        self.seen.setdefault(what, time.monotonic() - self.killed_at)


@dataclass
class Workspace:
    """A project folder and the Dagster processes that serve it."""

    folder: Path
    site: Site
    port: int
    _dagster: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What the project's processes see: this folder, and the sandbox's address."""
        return {
            **{name: value for name, value in os.environ.items() if "PIPELINE" not in name},
            "DAGSTER_HOME": str(self.folder / "dagster_home"),
            "ASSET_PIPELINE_PROVIDER": "sandbox",
            "REPLICATE_BASE_URL": self.site.url,
            "ASSET_PIPELINE_PROMPTS_DIR": str(self.folder / "prompts"),
            "ASSET_PIPELINE_DATA_DIR": str(self.folder / "data"),
            "ASSET_PIPELINE_CONFIG_DIR": str(self.folder / "config"),
            "ASSET_PIPELINE_LEDGER_URL": f"sqlite:///{self.ledger}",
            "ASSET_PIPELINE_RATE_LIMIT_PER_MINUTE": "0",
            "ASSET_PIPELINE_MAX_IN_FLIGHT": "8",
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
                [*command, "-w", str(_ROOT / "workspace.yaml")],
                cwd=_ROOT,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_default_signals,  # noqa: PLW1509 -- no threads run here yet
            )
        _until(self._answers, "Dagster answers")

    def stop(self, number: signal.Signals) -> None:
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

    def runs(self) -> list[dict[str, str]]:
        """Return the clip runs, newest first."""
        found: list[dict[str, str]] = self.ask(_RUNS)["runsOrError"]["results"]
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


def _round(title: str, prompts: int, seconds: str, *, power_cut: bool) -> bool:
    with _workspace(prompts, seconds) as workspace:
        times, killed = Times(), {}
        workspace.start()
        _until(lambda: len(workspace.partitions()["partitionKeys"]) == prompts, "the sensor")
        backfill = _launch(workspace)
        wanted = prompts * _VARIANTS
        _until(lambda: len(workspace.site.charges()) > wanted // 3, "a third is accepted")
        killed = Counter(line["status"] for line in workspace.site.charges())
        (worker,) = workspace.workers()
        times.killed_at = time.monotonic()
        if power_cut:
            workspace.stop(signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)
        if power_cut:
            workspace.start()
            times.mark("Dagster is up again")
        status = _watch(workspace, backfill, times)
        figures, flaws = _close(workspace, wanted, status)
    print(f"\n{title}")
    print(f"  {'at the kill':34} {', '.join(f'{n} {name}' for name, n in sorted(killed.items()))}")
    for what, moment in times.seen.items():
        print(f"  {what:34} {moment:.1f} s after the kill")
    for name, value in figures.items():
        print(f"  {name:34} {value}")
    for flaw in flaws:
        print(f"  ! {flaw}")
    return not flaws


def _watch(workspace: Workspace, backfill: str, times: Times) -> str:
    """Wait for the backfill's end, and note what happens until then."""
    status = "REQUESTED"
    limit = time.monotonic() + _PATIENCE
    while status == "REQUESTED" and time.monotonic() < limit:
        time.sleep(0.5)
        for run in workspace.runs():
            if run["parentRunId"] is None and run["status"] == "FAILURE":
                times.mark("the dead run is ended")
            elif run["parentRunId"] is not None and run["status"] == "STARTED":
                times.mark("its repetition works")
            elif run["parentRunId"] is not None and run["status"] == "SUCCESS":
                times.mark("its repetition is done")
        status = workspace.ask(_BACKFILL, id=backfill)["partitionBackfillOrError"]["status"]
    times.mark(f"the backfill is {status}")
    return status


def _close(workspace: Workspace, wanted: int, status: str) -> tuple[dict[str, object], list[str]]:
    bill = workspace.site.charges()
    caps = BudgetCaps()
    url = SecretStr(f"sqlite:///{workspace.ledger}")
    ledger = Ledger(open_engine(url), SystemClock(), lambda: caps)
    report = ledger.audit()
    charged = {line.budget: (line.charged, line.reserved) for line in ledger.balances()}["total"]
    clips = len(ledger.current_clips())
    ledger.close()
    paid = Counter(line["prompt"] for line in bill if line["charge_micro_usd"])
    provider = sum(line["charge_micro_usd"] for line in bill)
    stats = workspace.partitions()["partitionStats"]
    said = (workspace.folder / "dagster.log").read_text(errors="replace")
    figures: dict[str, object] = {
        "ended by": "the dead_runs sensor" if "Ended 1 dead runs" in said else "the code server",
        "runs": ", ".join(run["status"] for run in reversed(workspace.runs())),
        "partitions materialized": f"{stats['numMaterialized']}, failed {stats['numFailed']}",
        "creates on the wire": workspace.site.posts(),
        "accepted by the provider": len(bill),
        "charged by the provider": f"{provider} micro-dollars",
        "charged in the ledger": f"{charged[0]} micro-dollars, {charged[1]} reserved",
        "clips": clips,
        "mismatches": len(report.mismatches),
    }
    agreed = {
        "the backfill has not succeeded": status == "COMPLETED_SUCCESS",
        "a partition is not materialized": stats["numMaterialized"] * _VARIANTS == wanted,
        "provider and ledger differ": charged == (provider, 0),
        "a variant was not paid for exactly once": set(paid.values()) == {_VARIANTS}
        and len(paid) * _VARIANTS == wanted,
        "a clip is missing": clips == wanted,
        "the audit found mismatches": not report.mismatches,
    }
    return figures, [flaw for flaw, fine in agreed.items() if not fine]


def _launch(workspace: Workspace) -> str:
    params = {
        "assetSelection": [{"path": ["image"]}],
        "partitionNames": workspace.partitions()["partitionKeys"],
    }
    launched = workspace.ask(_LAUNCH, params=params)["launchPartitionBackfill"]
    if "backfillId" not in launched:
        raise RuntimeError(launched)
    backfill: str = launched["backfillId"]
    return backfill


@contextlib.contextmanager
def _workspace(prompts: int, seconds: str) -> Generator[Workspace]:
    with (
        tempfile.TemporaryDirectory(prefix="daemon-kill-") as name,
        open_site(Path(name) / "site", predict=seconds) as site,
    ):
        folder = Path(name)
        (folder / "dagster_home").mkdir()
        shutil.copy(_ROOT / "dagster_home" / "dagster.yaml", folder / "dagster_home")
        _write_prompts(folder / "prompts" / "images", prompts)
        workspace = Workspace(folder, site, _free_port())
        try:
            yield workspace
        finally:
            workspace.stop(signal.SIGTERM)


def _write_prompts(folder: Path, count: int) -> None:
    folder.mkdir(parents=True)
    document = {
        "collection": "garden",
        "defaults": {
            "model": "black-forest-labs/flux-schnell",
            "variants": _VARIANTS,
            "inputs": {"megapixels": "0.25"},
        },
        "prompts": [
            {"id": f"plant-{number:03}", "text": f"Plant number {number} of the garden"}
            for number in range(count)
        ],
    }
    (folder / "garden.yaml").write_text(yaml.safe_dump(document))


def _until(happened: Callable[[], bool], what: str) -> None:
    limit = time.monotonic() + _PATIENCE
    while not happened():
        if time.monotonic() > limit:
            raise TimeoutError(f"waited {_PATIENCE:.0f} s in vain: {what}")
        time.sleep(0.2)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def _default_signals() -> None:
    """A parent that ignores these hands that on, and Dagster would not stop for them."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
