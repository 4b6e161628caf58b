"""What the logs of one clip cost: CPU with three secrets to look for, beside plain logging."""

from __future__ import annotations

import json
import logging
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from asset_pipeline.logs.fields import bound
from asset_pipeline.logs.setup import start_logging, stop_logging

CLIPS = 5000
SECRETS = (
    "r8_4kTz9QmWcV2bNfLpRx7sHdJg3YeAuK6Ei1Z0",
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "https://hooks.slack.com/services/T0/B0/Xk29fLq7mZw4",
)


def main(arguments: Sequence[str]) -> int:
    """Print both in milliseconds of CPU a clip, and the size of its lines."""
    del arguments
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.jsonl"
        start_logging(path, SECRETS)
        ours = _measured(logging.getLogger("asset_pipeline.benchmark"))
        stop_logging()
        written = sum(file.stat().st_size for file in Path(folder).glob("log.jsonl*"))
        plain = logging.getLogger("plain")
        plain.setLevel(logging.INFO)
        plain.propagate = False
        plain.addHandler(logging.FileHandler(Path(folder) / "plain.log"))
        theirs = _measured(plain)
    figures = {
        "ms_of_cpu_a_clip": round(ours, 3),
        "plain_logging": round(theirs, 3),
        "bytes_a_clip": round(written / CLIPS),
    }
    print(json.dumps(figures, indent=2))
    return 0


def _measured(log: logging.Logger) -> float:
    began = time.process_time()
    with bound(run_id="5f0c1f3e-52f1-4f7e-8d7c-0a4f6f7e2c11"):
        for number in range(CLIPS):
            _clip(log, number)
    return (time.process_time() - began) / CLIPS * 1000


def _clip(log: logging.Logger, number: int) -> None:
    """Log what one clip logs: create, download, landing, and a share of the listings."""
    intent, prediction = f"{number:032x}", f"{number:026d}"
    with bound(kind="image", partition=f"prompt-{number}", variant=1):
        with bound(intent_id=intent):
            _answered(log, "create", model="black-forest-labs/flux-schnell")
        with bound(intent_id=intent, prediction_id=prediction):
            _answered(log, "download", bytes=123_456)
        log.info("landed", extra={"paid_microusd": 3000, "cached": False})
    if not number % 4:
        _answered(log, "list", listed=64)


def _answered(log: logging.Logger, call: str, **fields: object) -> None:
    log.info("%s answered", call, extra={"call": call, "ms": 123.4, **fields})
