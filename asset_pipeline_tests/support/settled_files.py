"""Configuration files that have stood still for a while."""

from __future__ import annotations

import os
import time
from pathlib import Path


def write_settled(path: Path, text: str) -> None:
    """Write a file as if a while ago, each time a little later than the last.

    A file that has only just changed is waited for, two seconds long: that is for the tests of the
    wait itself, and was a tenth of the suite's time when all others had it too.
    """
    before = path.stat().st_mtime if path.exists() else 0.0
    path.write_text(text, encoding="utf-8")
    at = max(before + 1, time.time() - 1000)
    os.utime(path, (at, at))
