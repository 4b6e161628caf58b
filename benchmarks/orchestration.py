"""A backfill through the daemon beside a bare loop, naive Dagster and `generate`, in one run.

(a) a careful asyncio script; (b) Dagster as one writes it first, a run a partition, on few clips
and scaled up; (c) this project's backfill, launched as the UI launches it and timed until the
daemon calls it done; (d) `generate`. All talk to one sandbox without a limit. Then (e): the
backfill once more at 600 creates a minute, beside the time that the limit alone takes. Dagster's
daemon looks at backfills each thirty seconds, at the start and at the end, whatever their size; so
the time from the first run's start to the last one's end is told too.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from benchmarks._naive import PARTITIONS
from benchmarks._workspace import Workspace, until
from benchmarks.generate_speed import MODEL, bare_loop, generate, sandbox

_ENDED = {"COMPLETED", "COMPLETED_SUCCESS", "COMPLETED_FAILED", "FAILED", "CANCELED"}
_STOCK = "telemetry: {enabled: false}\nnux: {enabled: false}\n"
_LIMIT = 600
_BUDGETS = {
    "ASSET_PIPELINE_BUDGET_DAILY_USD": "1000",
    "ASSET_PIPELINE_BUDGET_TOTAL_USD": "1000",
}


def main(arguments: Sequence[str]) -> int:
    """Print the times and their ratios."""
    parser = argparse.ArgumentParser(prog="orchestration", description=__doc__)
    parser.add_argument("--clips", type=int, default=500)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--only", choices="abcde", action="append", default=[])
    given = parser.parse_args(arguments)
    chosen = given.only or list("abcde")
    clips, in_flight = given.clips, given.in_flight
    took: dict[str, float] = {}
    for letter in chosen:
        with (
            tempfile.TemporaryDirectory(prefix="orchestration-") as name,
            sandbox(Path(name), "2") as url,
        ):
            folder = Path(name)
            match letter:
                case "a":
                    took["a"] = bare_loop(url, folder, clips, in_flight)
                    print(f"(a) bare loop            {took['a']:7.1f} s", flush=True)
                case "b":
                    took["b"] = _naive(url, folder) * clips / len(PARTITIONS)
                    print(
                        f"(b) a run a partition    {took['b']:7.1f} s, scaled from "
                        f"{len(PARTITIONS)} clips",
                        flush=True,
                    )
                case "c":
                    took["c"], runs = _backfill(url, folder, clips, in_flight, limit=0)
                    print(
                        f"(c) backfill             {took['c']:7.1f} s, its runs {runs:.1f} s",
                        flush=True,
                    )
                case "d":
                    took["d"] = generate(url, folder, clips, in_flight)[0]
                    print(f"(d) generate             {took['d']:7.1f} s", flush=True)
                case _:
                    took["e"], runs = _backfill(url, folder, clips, in_flight, limit=_LIMIT)
                    took["runs"] = runs
                    print(
                        f"(e) backfill at {_LIMIT}/min  {took['e']:7.1f} s, its runs {runs:.1f} s",
                        flush=True,
                    )
    _compare(took, clips)
    return 0


def _compare(took: Mapping[str, float], clips: int) -> None:
    if {"b", "c"} <= took.keys():
        print(f"backfill is {took['b'] / took['c']:.1f} times as fast as a run a partition")
    if {"a", "d"} <= took.keys():
        print(f"generate takes {took['d'] / took['a']:.2f} times the bare loop's time")
    if "e" in took:
        least = clips * 60 / _LIMIT
        print(
            f"at {_LIMIT} a minute: {took['e'] / least:.2f} times the limit's own {least:.0f} s, "
            f"the runs {took['runs'] / least:.2f} times"
        )


def _naive(url: str, folder: Path) -> float:
    workspace = Workspace(folder, url, loads=("-m", "benchmarks._naive"))
    (folder / "dagster_home" / "dagster.yaml").write_text(_STOCK)
    try:
        workspace.start()
        return _timed(workspace, PARTITIONS)
    finally:
        workspace.stop()


def _backfill(
    url: str, folder: Path, clips: int, in_flight: int, *, limit: int
) -> tuple[float, float]:
    """Return the seconds of a backfill, and those from its first run's start to its last's end."""
    images = folder / "prompts" / "images"
    images.mkdir(parents=True)
    prompts = [{"id": f"picture-{n:05}", "text": f"Backfilled picture {n}"} for n in range(clips)]
    defaults = {"model": MODEL, "inputs": {"megapixels": "0.25"}}
    (images / "speed.yaml").write_text(yaml.safe_dump({"defaults": defaults, "prompts": prompts}))
    settings = {
        "ASSET_PIPELINE_RATE_LIMIT_PER_MINUTE": str(limit),
        "ASSET_PIPELINE_MAX_IN_FLIGHT": str(in_flight),
        **_BUDGETS,
    }
    workspace = Workspace(folder, url, settings)
    try:
        workspace.start()
        until(lambda: len(workspace.partitions()["partitionKeys"]) == clips, "the sensor")
        seconds = _timed(workspace, workspace.partitions()["partitionKeys"])
        runs = workspace.runs()
        return seconds, max(run["endTime"] for run in runs) - min(run["startTime"] for run in runs)
    finally:
        workspace.stop()


def _timed(workspace: Workspace, partitions: Sequence[str]) -> float:
    """Return the seconds from the launch of a backfill to its end, all partitions green."""
    started = time.monotonic()
    backfill = workspace.launch(partitions)
    until(lambda: workspace.backfill_status(backfill) in _ENDED, "the backfill's end")
    seconds = time.monotonic() - started
    done = workspace.partitions()["partitionStats"]["numMaterialized"]
    assert done == len(partitions), (done, (workspace.folder / "dagster.log").read_text()[-3000:])
    return seconds
