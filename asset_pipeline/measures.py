"""What this process counts and times, until it is written into the ledger's sums.

Counting costs a dictionary's look-up under a lock; whoever holds the ledger open takes the counts
with each heartbeat. What a killed process had not written yet, a few seconds' worth, is lost: money
and clips are never counted here, but by the ledger itself.
"""

from __future__ import annotations

import bisect
import threading
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple


class MeasureKey(NamedTuple):
    """One sum: of what, of which operation, with which outcome, in which bucket of durations."""

    name: str
    operation: str
    outcome: str
    bucket: int


class Measures:
    """Counts and durations of one process, from any thread.

    Args:
        ends: The upper ends of the buckets of durations, in seconds.
    """

    def __init__(self, ends: Sequence[float]) -> None:
        self._ends = ends
        self._lock = threading.Lock()
        self._sums: dict[MeasureKey, tuple[int, int]] = {}

    def count(self, name: str, operation: str = "", outcome: str = "", by: int = 1) -> None:
        """Count something that happened."""
        self._add(MeasureKey(name, operation, outcome, 0), by, 0)

    def time(self, name: str, operation: str, seconds: float, outcome: str = "ok") -> None:
        """Count something that took so many seconds."""
        bucket = bisect.bisect_left(self._ends, seconds)
        self._add(MeasureKey(name, operation, outcome, bucket), 1, round(seconds * 1_000_000))

    def take(self) -> Mapping[MeasureKey, tuple[int, int]]:
        """Return counts and microseconds since the last time this was asked."""
        with self._lock:
            taken, self._sums = self._sums, {}
        return taken

    def give_back(self, taken: Mapping[MeasureKey, tuple[int, int]]) -> None:
        """Count again what was taken and could not be written."""
        for key, (count, total) in taken.items():
            self._add(key, count, total)

    def _add(self, key: MeasureKey, count: int, total: int) -> None:
        with self._lock:
            known = self._sums.get(key, (0, 0))
            self._sums[key] = (known[0] + count, known[1] + total)


SECONDS: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)
"""The upper ends of the buckets that all durations are counted in; one more has no end."""

MEASURES: Final = Measures(SECONDS)
"""This process's own."""

PROVIDER: Final = "provider_request"
STORE: Final = "store_request"
DECODER_RESTARTS: Final = "decoder_restarts"
