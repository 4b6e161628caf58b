"""Mixed work for a while, through service, daemon, store and faults, with every process watched.

Orders come over HTTP and as a backfill-sized batch, some for what is there already, and people
decide about clips; the provider loses replies, is too busy, interrupts and sends cut files. At the
end nothing may be lost or paid twice, and no process may have grown.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
from pydantic import SecretStr

from asset_pipeline.clock import SystemClock
from asset_pipeline.ledger.budgets import BudgetCaps
from asset_pipeline.ledger.engine import open_engine
from asset_pipeline.ledger.ledger import Ledger
from asset_pipeline_tests.support.crash.site import Site, open_site
from benchmarks._workspace import free_port, until
from benchmarks.service_kill import Services

_EVERY = 5.0
_MOST_GROWTH = 1.0  # MB a minute, after the warm-up
_MORE_FILES = 15
_ENDED = {"completed", "partly_failed", "failed", "cancelled", "refused_by_budget"}

_FAULTS: Sequence[Mapping[str, object]] = (
    {"fault": "lost_reply_after", "match": {"share": 0.03}, "per_prompt": 1},
    {"fault": "lost_reply_before", "match": {"share": 0.03}, "per_prompt": 1},
    {"fault": "failed", "match": {"share": 0.05}, "per_prompt": 1, "params": {"code": "PA"}},
    {"fault": "truncated", "match": {"route": "file", "nth": 9}, "params": {"drop": True}},
    {"fault": "error_5xx_before", "match": {"route": "file", "nth": 13}},
    {"fault": "rate_limited", "match": {"nth": 29}, "params": {"retry_after": 1}},
)


@dataclass(frozen=True, slots=True)
class Sample:
    """What a process took at one moment: minutes since the start, MB, open files."""

    minutes: float
    megabytes: float
    files: int


@dataclass
class Installation(Services):
    """Services with the HTTP service among them."""

    service_port: int = field(default_factory=free_port)

    @property
    def commands(self) -> dict[str, list[str]]:
        """What each service is started with."""
        serve = [str(Path(sys.executable).with_name("asset-pipeline")), "serve"]
        return {**super().commands, "service": [*serve, "--port", str(self.service_port)]}

    @property
    def processes(self) -> dict[str, subprocess.Popen[bytes]]:
        """The running ones by name."""
        return self._running


def main(arguments: Sequence[str]) -> int:
    """Print how every process grew and how every account stands; 0 when all is well."""
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--hours", type=float, default=0, help="instead of minutes")
    parser.add_argument("--warm-up", type=float, default=0.3, help="share that is not counted")
    parser.add_argument("--plot", type=Path, help="where to write a plot, as SVG")
    given = parser.parse_args(arguments)
    minutes = given.hours * 60 or given.minutes
    with (
        tempfile.TemporaryDirectory(prefix="soak-") as name,
        open_site(Path(name) / "site", predict="0.5") as site,
    ):
        site.fault(*_FAULTS)
        place = Installation(Path(name), site.url, {"ASSET_PIPELINE_MAX_IN_FLIGHT": "8"})
        (place.folder / "prompts").mkdir()
        try:
            place.start()
            samples = _work(place, minutes)
            flaws = _accounts(place, site)
        finally:
            place.stop()
    flaws += _growth(samples, minutes * given.warm_up)
    if given.plot:
        given.plot.write_text(_svg(samples, minutes))
    for flaw in flaws:
        print(f"  ! {flaw}")
    return 1 if flaws else 0


def _work(place: Installation, minutes: float) -> dict[str, list[Sample]]:
    samples: defaultdict[str, list[Sample]] = defaultdict(list)
    url = f"http://127.0.0.1:{place.service_port}"
    orders: list[str] = []
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        until(lambda: _lives(client), "the service answers")
        began, number = time.monotonic(), 0
        while (passed := (time.monotonic() - began) / 60) < minutes:
            orders.append(_order(client, number))
            _decide(client)
            client.get("/metrics").raise_for_status()
            number += 1
            _sample(place, passed, samples)
            time.sleep(_EVERY)
        print(f"  {len(orders)} orders in {minutes:.1f} minutes", flush=True)
        until(lambda: all(client.get(each).json()["state"] in _ENDED for each in orders), "all end")
        states = Counter(client.get(each).json()["state"] for each in orders)
        print(f"  {dict(states)}", flush=True)
    return samples


def _lives(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.HTTPError:
        return False


def _order(client: httpx.Client, number: int) -> str:
    """Order a small batch: new pictures with two variants, and one that is there already."""
    inputs = {"megapixels": "0.25"}
    fresh = [
        {"kind": "image", "text": f"Plant {number}-{each} of the garden", "variants": 2}
        for each in range(4)
    ]
    body = {"defaults": {"inputs": inputs}, "prompts": [*fresh]}
    if number:
        body["prompts"].append({"kind": "image", "text": "Plant 0-0 of the garden", "variants": 2})
    answer = client.post("/api/v1/batches", json=body)
    answer.raise_for_status()
    url: str = answer.json()["status_url"]
    return url


def _decide(client: httpx.Client) -> None:
    """Approve what nobody has decided about, a few clips at a time."""
    found = client.get("/api/v1/clips", params={"limit": 4}).json()["items"]
    for clip in found:
        if clip.get("review_state") in {None, "undecided"}:
            verdict = {"clip_id": clip["id"], "sha256": clip["sha256"], "verdict": "approved"}
            client.post("/api/v1/reviews", json=verdict)


def _sample(place: Installation, minutes: float, samples: dict[str, list[Sample]]) -> None:
    for name, process in place.processes.items():
        try:
            seen = psutil.Process(process.pid)
            taken = Sample(minutes, seen.memory_info().rss / 1e6, seen.num_fds())
        except psutil.Error:
            continue
        samples[name].append(taken)


def _growth(samples: Mapping[str, Sequence[Sample]], warm_up: float) -> list[str]:
    flaws: list[str] = []
    for name, taken in samples.items():
        warm = [each for each in taken if each.minutes >= warm_up]
        slope = _slope([(each.minutes, each.megabytes) for each in warm])
        quarter = max(1, len(warm) // 4)
        files = [min(each.files for each in part) for part in (warm[:quarter], warm[-quarter:])]
        print(
            f"  {name}: {warm[-1].megabytes:.0f} MB, {slope:+.2f} MB a minute; "
            f"{files[0]} files, then {files[1]}"
        )
        if slope >= _MOST_GROWTH:
            flaws.append(f"{name} grows by {slope:.2f} MB a minute")
        if files[1] > files[0] + _MORE_FILES:
            flaws.append(f"{name} leaves files open: {files[0]}, then {files[1]}")
    return flaws


def _slope(points: Sequence[tuple[float, float]]) -> float:
    """Return the slope of the line with the least squares."""
    count = len(points)
    x_mean, y_mean = (sum(each[axis] for each in points) / count for axis in (0, 1))
    spread = sum((x - x_mean) ** 2 for x, _ in points)
    return sum((x - x_mean) * (y - y_mean) for x, y in points) / spread if spread else 0.0


def _accounts(place: Installation, site: Site) -> list[str]:
    caps = BudgetCaps()
    ledger = Ledger(
        open_engine(SecretStr(f"sqlite:///{place.ledger}")), SystemClock(), lambda: caps
    )
    try:
        mismatches = ledger.audit().mismatches
        total = {line.budget: (line.charged, line.reserved) for line in ledger.balances()}["total"]
        clips = len(ledger.current_clips())
    finally:
        ledger.close()
    bill = [line for line in site.charges() if line["charge_micro_usd"]]
    provider = sum(line["charge_micro_usd"] for line in bill)
    twice = [key for key, times in Counter(_wanted(line) for line in bill).items() if times > 1]
    print(f"  {clips} clips; provider {provider}, ledger {total[0]} micro-dollars", flush=True)
    agreed = {
        "provider and ledger differ": total == (provider, 0),
        "the audit found mismatches": not mismatches,
        f"paid twice: {twice[:3]}": not twice,
    }
    return [flaw for flaw, fine in agreed.items() if not fine]


def _wanted(line: Mapping[str, object]) -> tuple[str, str]:
    return str(line["prompt"]), str(line.get("seed", line["id"]))


def _svg(samples: Mapping[str, Sequence[Sample]], minutes: float) -> str:
    """Return a plot of memory over time, a line a process."""
    width, height, left, top = 640, 320, 50, 20
    most = max(each.megabytes for taken in samples.values() for each in taken) * 1.1
    colours = ("#1f5fa8", "#b8860b", "#2e7d32", "#8e24aa", "#c62828")
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width + 200} {height + 60}" '
            'font-family="sans-serif" font-size="12">'
        ),
        (
            f'<rect x="{left}" y="{top}" width="{width - left}" height="{height - top}" '
            'fill="none" stroke="#999"/>'
        ),
        f'<text x="{left}" y="{height + 20}">0</text>',
        f'<text x="{width - 60}" y="{height + 20}">{minutes:.0f} minutes</text>',
        f'<text x="2" y="{top + 10}">{most:.0f} MB</text><text x="30" y="{height}">0</text>',
    ]
    for index, (name, taken) in enumerate(samples.items()):
        colour = colours[index % len(colours)]
        points = " ".join(
            f"{left + each.minutes / minutes * (width - left):.1f},"
            f"{height - each.megabytes / most * (height - top):.1f}"
            for each in taken
        )
        parts.append(f'<polyline fill="none" stroke="{colour}" points="{points}"/>')
        y = top + 16 * (index + 1)
        parts.append(f'<text x="{width + 10}" y="{y}" fill="{colour}">{name}</text>')
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
