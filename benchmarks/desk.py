"""The review desk in a real browser: first pictures, nodes, key to paint, the last of 100,000."""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import select

from asset_pipeline.ledger.schema import clips
from asset_pipeline.service.context import ServiceContext
from asset_pipeline.settings import load_settings
from asset_pipeline_tests.support.desk_browser import (
    FOCUS,
    KEY_TO_PAINT,
    NODES,
    PICTURES,
    browser,
    browser_path,
    desk_server,
)
from asset_pipeline_tests.support.desk_clips import fill_desk

if TYPE_CHECKING:
    from playwright.sync_api import Page

_FIRST = 12
_DECISIONS = 200
_BETWEEN_MS = 100  # a person who presses ten times a second


def main(arguments: Sequence[str]) -> int:
    """Measure, and return 1 if a promise is not kept."""
    parser = argparse.ArgumentParser(prog="desk", description=__doc__)
    parser.add_argument("--clips", type=int, default=10_000)
    parser.add_argument("--last-of", type=int, default=100_000)
    options = parser.parse_args(arguments)
    if browser_path() is None:
        print("There is no chromium: `make system-tools` installs it.", file=sys.stderr)
        return 2
    kept = [_reviewing(options.clips), _last(options.last_of)]
    return 0 if all(kept) else 1


def _reviewing(count: int) -> bool:
    _project()
    fill_desk(load_settings(), count)
    with desk_server() as (url, context), browser() as started:
        page = started.new_page(viewport={"width": 1440, "height": 900})
        page.goto(f"{url}/healthz")
        first = min(_first_pictures(page, url) for _ in range(3))
        nodes = page.evaluate(NODES)
        moves = [_key(page, "ArrowRight") for _ in range(_DECISIONS)]
        page.evaluate(
            "document.activeElement.dispatchEvent(new KeyboardEvent('keydown', "
            "{key: 'Home', bubbles: true, cancelable: true}))"
        )
        page.wait_for_timeout(500)
        approvals = [_key(page, "a") for _ in range(_DECISIONS)]
        exact = _landed(context, count)
        heap = page.evaluate("performance.memory ? performance.memory.usedJSHeapSize : 0") / 1e6
        nodes = max(nodes, page.evaluate(NODES))
    print(f"{count:,} clips: {_FIRST} pictures after {first:.0f} ms, {nodes} nodes, {heap:.0f} MB")
    for name, times in (("arrow", moves), ("approve", approvals)):
        p99 = statistics.quantiles(times, n=100)[98]
        print(f"{name}: key to paint p50 {statistics.median(times):.1f} ms, p99 {p99:.1f} ms")
    print(f"{_DECISIONS} verdicts by keys {'landed exactly' if exact else 'DID NOT LAND'}")
    slowest = statistics.quantiles(approvals, n=100)[98]
    return exact and first < 1000 and nodes < 1200 and slowest < 50


def _last(count: int) -> bool:
    _project()
    fill_desk(load_settings(), count, sounds=False)
    with desk_server() as (url, _), browser() as started:
        page = started.new_page(viewport={"width": 390, "height": 844})
        began = time.perf_counter()
        page.goto(url)
        page.wait_for_function(
            "() => document.querySelector('.tile')?.ariaSetSize > 0", timeout=60_000
        )
        loaded = time.perf_counter() - began
        page.keyboard.press("End")
        wanted = f"{count - 1:032x}"
        page.wait_for_function(f"() => {FOCUS} === '{wanted}'")
        page.wait_for_timeout(500)
        box = page.locator(".tile.focus").bounding_box()
        nodes = page.evaluate(NODES)
    seen = box is not None and box["y"] + box["height"] <= 844
    print(
        f"{count:,} clips: all known after {loaded:.1f} s, the last one "
        f"{'is on the screen' if seen else 'CAN NOT BE SEEN'}, {nodes} nodes"
    )
    return seen


def _project() -> None:
    folder = Path(tempfile.mkdtemp(prefix="desk-benchmark-"))
    for name in ("PROMPTS", "DATA", "CONFIG"):
        (folder / name.lower()).mkdir()
        os.environ[f"ASSET_PIPELINE_{name}_DIR"] = str(folder / name.lower())
    os.environ["ASSET_PIPELINE_PROVIDER"] = "sandbox"


def _first_pictures(page: Page, url: str) -> float:
    """Return the milliseconds from the request to twelve pictures on the screen."""
    began = time.perf_counter()
    page.goto(url, wait_until="commit")
    page.wait_for_function(PICTURES, arg=_FIRST, timeout=60_000)
    found = (time.perf_counter() - began) * 1000
    page.wait_for_timeout(1000)
    return found


def _key(page: Page, key: str) -> float:
    page.locator(".tile.focus:not([aria-busy])").wait_for()
    took = float(page.evaluate(KEY_TO_PAINT, key))
    page.wait_for_timeout(_BETWEEN_MS)
    return took


def _landed(context: ServiceContext, count: int) -> bool:
    """Tell whether exactly the first clips are approved, each once, and nothing else."""
    wanted = {f"{number:032x}" for number in range(min(count, _DECISIONS))}
    query = select(clips.c.clip_id).where(clips.c.review_state == "approved")
    deadline = time.monotonic() + 20
    found: set[str] = set()
    while time.monotonic() < deadline:
        with context.engine.connect() as connection:
            found = set(connection.execute(query).scalars())
        if found == wanted:
            break
        time.sleep(0.2)
    verdicts = context.reviews.listed(None, 1000)
    return found == wanted and len(verdicts) == len(wanted)
