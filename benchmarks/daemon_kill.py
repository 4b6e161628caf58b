"""Kill a backfill's process under `dagster dev`; the daemon alone must bring it to its end.

Two rounds. In the first the run worker gets SIGKILL: the code server notices. In the second the
worker, the code server, the daemon and the web server all get it at once, as in a power cut, and
Dagster is started anew: only the ledger knows that the run is dead. Nobody touches anything then.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from pydantic import SecretStr

from asset_pipeline.clock import SystemClock
from asset_pipeline.ledger.budgets import BudgetCaps
from asset_pipeline.ledger.engine import open_engine
from asset_pipeline.ledger.ledger import Ledger
from asset_pipeline_tests.support.crash.site import Site, open_site
from benchmarks._workspace import PATIENCE, Workspace, until

_VARIANTS = 2


@dataclass
class Scene(Workspace):
    """A workspace whose sandbox keeps an account that is looked into."""

    site: Site = field(kw_only=True)


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


def _round(title: str, prompts: int, seconds: str, *, power_cut: bool) -> bool:
    with _workspace(prompts, seconds) as workspace:
        times, killed = Times(), {}
        workspace.start()
        until(lambda: len(workspace.partitions()["partitionKeys"]) == prompts, "the sensor")
        backfill = workspace.launch(workspace.partitions()["partitionKeys"])
        wanted = prompts * _VARIANTS
        until(lambda: len(workspace.site.charges()) > wanted // 3, "a third is accepted")
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


def _watch(workspace: Scene, backfill: str, times: Times) -> str:
    """Wait for the backfill's end, and note what happens until then."""
    status = "REQUESTED"
    limit = time.monotonic() + PATIENCE
    while status == "REQUESTED" and time.monotonic() < limit:
        time.sleep(0.5)
        for run in workspace.runs():
            if run["parentRunId"] is None and run["status"] == "FAILURE":
                times.mark("the dead run is ended")
            elif run["parentRunId"] is not None and run["status"] == "STARTED":
                times.mark("its repetition works")
            elif run["parentRunId"] is not None and run["status"] == "SUCCESS":
                times.mark("its repetition is done")
        status = workspace.backfill_status(backfill)
    times.mark(f"the backfill is {status}")
    return status


def _close(workspace: Scene, wanted: int, status: str) -> tuple[dict[str, object], list[str]]:
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


@contextlib.contextmanager
def _workspace(prompts: int, seconds: str) -> Generator[Scene]:
    with (
        tempfile.TemporaryDirectory(prefix="daemon-kill-", ignore_cleanup_errors=True) as name,
        open_site(Path(name) / "site", predict=seconds) as site,
    ):
        folder = Path(name)
        _write_prompts(folder / "prompts" / "images", prompts)
        workspace = Scene(folder, site.url, {"ASSET_PIPELINE_MAX_IN_FLIGHT": "8"}, site=site)
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
