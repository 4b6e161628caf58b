"""Logs switched on for one test, and what they wrote."""

from __future__ import annotations

import json
import logging
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from asset_pipeline.logs.setup import start_logging, stop_logging

TOKEN = "r8_4kTz9QmWcV2bNfLpRx7sHdJg3YeAuK6Ei1Z0"
OTHER = "Zq7Wm2Kd9Xv4Tb6Np1Ls8Rf3"


@dataclass
class Logged:
    """The file that the package's logger writes to."""

    path: Path
    logger: logging.Logger

    def text(self) -> str:
        return self.path.read_text()

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text().splitlines()]


@pytest.fixture
def logged(tmp_path: Path) -> Generator[Logged]:
    """Logs into this test's folder, with two secrets that must never be in them."""
    path = tmp_path / "logs" / "asset-pipeline.jsonl"
    start_logging(path, [TOKEN, OTHER])
    try:
        yield Logged(path, logging.getLogger("asset_pipeline.tests"))
    finally:
        stop_logging()
