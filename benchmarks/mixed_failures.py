"""A batch with a tenth of its prompts failing against the same batch without, side by side.

Both are whole `generate` commands on a sandbox of their own with the same settings: Replicate's 600
creates a minute, unless told otherwise. The faults are of all kinds; their Retry-After is a second,
so that waiting for the provider is no part of the ratio. What can't be hurried is a reply that is
lost at the very end: fifteen seconds pass before its absence is proof. Afterwards every clean
prompt must have landed, every recoverable one too, the rest must have failed with their class, and
the ledger must agree with the sandbox's account to the micro-dollar.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from benchmarks.generate_speed import MODEL, sandbox

# Fault, its parameters, whether it strikes for ever, and the class that comes of it then.
KINDS: tuple[tuple[str, dict[str, Any], bool, str], ...] = (
    ("failed", {"error": "Prediction interrupted; please retry (code: PA)"}, False, ""),
    ("failed", {"error": "Director: unexpected error handling prediction (E9828)"}, False, ""),
    ("error_5xx_before", {"status": 503}, False, ""),
    ("lost_reply_after", {}, False, ""),
    ("lost_reply_before", {}, False, ""),
    ("rate_limited", {"retry_after": 1}, False, ""),
    ("aborted", {}, False, ""),
    ("blank", {}, True, "bad_output"),
    ("truncated", {}, False, ""),
    ("html_page", {}, False, ""),
    ("expired_output", {}, False, ""),
    ("failed", {"error": "NSFW content detected."}, True, "content_policy"),
    ("failed", {"error": "CUDA out of memory (E1001)"}, True, "out_of_memory"),
    ("wrong_media", {}, True, "bad_output"),
    ("insufficient_credit", {}, True, "insufficient_credit"),
)


# These strike one download, not what was made.
PASSING_FILES = {"truncated", "html_page", "expired_output"}


@dataclass(frozen=True)
class Result:
    """One command: its time, what it said, and both accounts."""

    seconds: float
    exit_code: int
    classes: dict[str, str]
    landed: int
    ledger: int
    account: int


def main(arguments: Sequence[str]) -> int:
    """Print both times and their ratio; fail where a promise is broken."""
    parser = argparse.ArgumentParser(prog="mixed_failures", description=__doc__)
    parser.add_argument("--clips", type=int, default=500)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--predict-seconds", default="2")
    parser.add_argument("--per-minute", default="600", help="creates; 0 for no limit")
    given = parser.parse_args(arguments)
    clean = _run(given, troubled=False)
    print(f"clean {given.clips} clips    {clean.seconds:6.1f} s", flush=True)
    mixed = _run(given, troubled=True)
    ratio = mixed.seconds / clean.seconds
    print(f"a tenth of them fails {mixed.seconds:6.1f} s, {ratio:.2f} times as long")
    expected = {_name(number): kind[3] for number, kind in _troubles(given.clips) if kind[3]}
    print(f"landed {mixed.landed}, failed {len(mixed.classes)}, expected {len(expected)}")
    print(f"charged by the ledger {mixed.ledger}, by the sandbox {mixed.account} micro-dollars")
    promises = {
        "the clean batch is whole": clean.exit_code == 0 and clean.landed == given.clips,
        "failed prompts and their classes": mixed.classes == expected,
        "all others landed": mixed.landed == given.clips - len(expected),
        "both accounts agree": mixed.ledger == mixed.account and clean.ledger == clean.account,
        "at most 1.5 times as long": ratio <= 1.5,
    }
    for promise, held in promises.items():
        print(f"{'held  ' if held else 'BROKEN'} {promise}")
    return 0 if all(promises.values()) else 1


def _run(given: argparse.Namespace, *, troubled: bool) -> Result:
    with (
        tempfile.TemporaryDirectory(prefix="mixed-failures-") as name,
        sandbox(Path(name), given.predict_seconds) as url,
    ):
        folder = Path(name)
        environment = _project(folder, url, given)
        if troubled:
            rules = [_rule(number, kind) for number, kind in _troubles(given.clips)]
            httpx.post(f"{url}/sandbox/faults", json={"faults": rules}).raise_for_status()
        command = [str(Path(sys.executable).with_name("asset-pipeline")), "generate", "--all"]
        started = time.monotonic()
        done = subprocess.run(
            [*command, "--json"], env=environment, capture_output=True, text=True, check=False
        )
        seconds = time.monotonic() - started
        charges = httpx.get(f"{url}/sandbox/charges", timeout=60).json()["charges"]
        landed, ledger, classes = _books(folder / "data" / "ledger.sandbox.db")
        if not done.stdout:
            print(done.stderr[-2000:], file=sys.stderr)
        account = sum(line["charge_micro_usd"] for line in charges)
        return Result(seconds, done.returncode, classes, landed, ledger, account)


def _books(path: Path) -> tuple[int, int, dict[str, str]]:
    """Return clips, micro-dollars charged, and the last class of each prompt without a clip."""
    with sqlite3.connect(path) as ledger:
        landed = ledger.execute("SELECT count(*) FROM clips WHERE superseded_at IS NULL")
        charged = ledger.execute("SELECT sum(charged_microusd) FROM intents")
        failed = ledger.execute(
            "SELECT prompt_id, error_class FROM intents WHERE state IN ('failed', 'refused')"
            " AND prompt_id NOT IN (SELECT prompt_id FROM clips) ORDER BY created_at"
        )
        return landed.fetchone()[0], charged.fetchone()[0], dict(failed.fetchall())


def _troubles(clips: int) -> list[tuple[int, tuple[str, dict[str, Any], bool, str]]]:
    """Return each tenth prompt with its fault."""
    return [(number, KINDS[number // 10 % len(KINDS)]) for number in range(0, clips, 10)]


def _name(number: int) -> str:
    return f"picture-{number:05}"


def _rule(number: int, kind: tuple[str, dict[str, Any], bool, str]) -> dict[str, Any]:
    fault, params, for_ever, _ = kind
    match = {"prompt": f"called {_name(number)}."}
    if fault in PASSING_FILES:
        match["route"] = "file"
    rule = {"fault": fault, "match": match, "params": params}
    return rule if for_ever else rule | {"times": 1}


def _project(folder: Path, url: str, given: argparse.Namespace) -> dict[str, str]:
    images = folder / "prompts" / "images"
    images.mkdir(parents=True)
    prompts = [
        {"id": _name(number), "text": f"A picture called {_name(number)}."}
        for number in range(given.clips)
    ]
    document = {"defaults": {"model": MODEL, "inputs": {"megapixels": "0.25"}}, "prompts": prompts}
    (images / "mixed.yaml").write_text(yaml.safe_dump(document))
    return {
        **os.environ,
        "DAGSTER_HOME": str(folder / "dagster"),
        "ASSET_PIPELINE_PROVIDER": "sandbox",
        "REPLICATE_BASE_URL": url,
        "ASSET_PIPELINE_PROMPTS_DIR": str(folder / "prompts"),
        "ASSET_PIPELINE_DATA_DIR": str(folder / "data"),
        "ASSET_PIPELINE_CONFIG_DIR": str(folder / "config"),
        "ASSET_PIPELINE_RATE_LIMIT_PER_MINUTE": given.per_minute,
        "ASSET_PIPELINE_MAX_IN_FLIGHT": str(given.in_flight),
        "ASSET_PIPELINE_BUDGET_DAILY_USD": "1000",
        "ASSET_PIPELINE_BUDGET_TOTAL_USD": "1000",
    }
