"""Kill daemon, web server and code server, each once during a backfill; each is started again.

The three run as processes of their own, as they do on a server, where something starts again what
ended. Each is killed with SIGKILL while predictions are in flight, and stays dead for some seconds.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import yaml
from pydantic import SecretStr

from asset_pipeline.clock import SystemClock
from asset_pipeline.ledger.budgets import BudgetCaps
from asset_pipeline.ledger.engine import open_engine
from asset_pipeline.ledger.ledger import Ledger
from asset_pipeline_tests.support.crash.site import Site, open_site
from benchmarks._workspace import ROOT, Workspace, free_port, until

_UNDER_WAY = {"REQUESTED", "COMPLETING", "FAILING"}

_ERROR = """
query Error($id: String!) {
  partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { error { message } } }
}
"""


@dataclass
class Services(Workspace):
    """A workspace whose daemon, web server and code server are processes of their own."""

    code_port: int = field(default_factory=free_port)
    _running: dict[str, subprocess.Popen[bytes]] = field(
        default_factory=dict[str, "subprocess.Popen[bytes]"]
    )

    def start(self) -> None:
        """Start all three and wait until they answer."""
        location = {
            "host": "127.0.0.1",
            "port": self.code_port,
            "location_name": "asset_pipeline",
        }
        (self.folder / "workspace.yaml").write_text(
            yaml.safe_dump({"load_from": [{"grpc_server": location}]})
        )
        # Two processes that make Dagster's databases at once can stumble over each other.
        making = [str(Path(sys.executable).with_name("dagster")), "instance", "info"]
        subprocess.run(making, env=self.environment, check=True, capture_output=True)
        for name in self.commands:
            self.start_one(name)
        until(self._answers, "Dagster answers")

    @property
    def commands(self) -> dict[str, list[str]]:
        """What each service is started with."""
        workspace = str(self.folder / "workspace.yaml")
        scripts = Path(sys.executable).parent
        return {
            "code server": [
                *(str(scripts / "dagster"), "api", "grpc", "-m", "asset_pipeline.definitions"),
                *("-h", "127.0.0.1", "-p", str(self.code_port)),
                *("--location-name", "asset_pipeline"),
            ],
            "web server": [
                *(str(scripts / "dagster-webserver"), "-w", workspace),
                *("-h", "127.0.0.1", "-p", str(self.port)),
            ],
            "daemon": [str(scripts / "dagster-daemon"), "run", "-w", workspace],
        }

    def start_one(self, name: str) -> None:
        """Start a service, for the first time or again."""
        with (self.folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                self.commands[name], cwd=ROOT, env=self.environment, stdout=log, stderr=log
            )

    def kill_one(self, name: str) -> None:
        """Kill a service, and nothing that it started."""
        self._running[name].kill()
        self._running[name].wait()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal to all of them and wait for their end."""
        for process in self._running.values():
            process.send_signal(number)
        for process in self._running.values():
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def main(arguments: Sequence[str]) -> int:
    """Print what was killed when, and how every account stands; 0 when they agree."""
    parser = argparse.ArgumentParser(prog="service_kill", description=__doc__)
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--seconds", default="2", help="how long a prediction takes")
    parser.add_argument(
        "--dead", type=float, default=20, help="seconds until each is started again"
    )
    given = parser.parse_args(arguments)
    with (
        tempfile.TemporaryDirectory(prefix="service-kill-") as name,
        open_site(Path(name) / "site", predict=given.seconds) as site,
    ):
        services = Services(Path(name), site.url, {"ASSET_PIPELINE_MAX_IN_FLIGHT": "4"})
        _write(services, given.prompts)
        try:
            services.start()
            status = _play(services, site, given.prompts, given.dead)
            flaws = _close(services, site, given.prompts, status)
        finally:
            services.stop()
    for flaw in flaws:
        print(f"  ! {flaw}")
    return 1 if flaws else 0


def _play(services: Services, site: Site, prompts: int, dead: float) -> str:
    until(lambda: len(services.partitions()["partitionKeys"]) == prompts, "the sensor")
    backfill = services.launch(services.partitions()["partitionKeys"])
    began = time.monotonic()
    for share, name in enumerate(services.commands, start=1):
        at = prompts * share // 5
        until(lambda at=at: len(site.charges()) >= at, f"{at} are accepted")
        services.kill_one(name)
        print(
            f"  {name} killed after {time.monotonic() - began:.0f} s, "
            f"{len(site.charges())} of {prompts} accepted",
            flush=True,
        )
        time.sleep(dead)
        services.start_one(name)

    def ended() -> bool:
        try:
            return services.backfill_status(backfill) not in _UNDER_WAY
        except httpx.HTTPError:
            return False  # the web server is on its way up again

    until(ended, "the backfill ends")
    status = services.backfill_status(backfill)
    print(f"  the backfill is {status} after {time.monotonic() - began:.0f} s", flush=True)
    error = services.ask(_ERROR, id=backfill)["partitionBackfillOrError"]["error"]
    if error is not None:
        print(f"  {error['message']}")
    return status


def _close(services: Services, site: Site, prompts: int, status: str) -> list[str]:
    caps = BudgetCaps()
    url = SecretStr(f"sqlite:///{services.ledger}")
    ledger = Ledger(open_engine(url), SystemClock(), lambda: caps)
    try:
        mismatches = ledger.audit().mismatches
        total = {line.budget: (line.charged, line.reserved) for line in ledger.balances()}["total"]
        clips = len(ledger.current_clips())
    finally:
        ledger.close()
    bill = [line for line in site.charges() if line["charge_micro_usd"]]
    paid = Counter(line["prompt"] for line in bill)
    provider = sum(line["charge_micro_usd"] for line in bill)
    stats = services.partitions()["partitionStats"]
    print(
        f"  {stats['numMaterialized']} green, {stats['numFailed']} red, {clips} clips; "
        f"provider charged {provider}, ledger {total[0]} micro-dollars, {total[1]} reserved; "
        f"{len(mismatches)} mismatches"
    )
    agreed = {
        "the backfill has not succeeded": status == "COMPLETED_SUCCESS",
        "a partition is not green": stats["numMaterialized"] == prompts,
        "a prompt was not paid for exactly once": set(paid.values()) == {1},
        "a prompt was not paid for": len(paid) == prompts,
        "provider and ledger differ": total == (provider, 0),
        "a clip is missing": clips == prompts,
        "the audit found mismatches": not mismatches,
    }
    return [flaw for flaw, fine in agreed.items() if not fine]


def _write(services: Services, count: int) -> None:
    folder = services.folder / "prompts" / "images"
    folder.mkdir(parents=True)
    document = {
        "collection": "garden",
        "defaults": {
            "model": "black-forest-labs/flux-schnell",
            "inputs": {"megapixels": "0.25"},
        },
        "prompts": [
            {"id": f"plant-{number:03}", "text": f"Plant number {number} of the garden"}
            for number in range(count)
        ],
    }
    (folder / "garden.yaml").write_text(yaml.safe_dump(document))
