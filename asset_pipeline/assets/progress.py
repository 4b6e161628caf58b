"""A line in the run's log every few seconds, so that a long step is seen to move."""

from __future__ import annotations

from collections.abc import Callable

from asset_pipeline.clock import Clock
from asset_pipeline.generation.batch import BatchProgress
from asset_pipeline.money import MicroUsd, format_usd

_SECONDS = 5.0


class ProgressLines:
    """Says how a batch stands, at most once in five seconds.

    Args:
        log: Takes a line.
        clock: For the pace and the time left.
    """

    def __init__(self, log: Callable[[str], None], clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._started = self._said = clock.monotonic()

    def __call__(self, progress: BatchProgress) -> None:
        """Log a line if the last one is old enough."""
        now = self._clock.monotonic()
        if now - self._said < _SECONDS:
            return
        self._said = now
        ended = progress.done + progress.failed
        rate = ended / (now - self._started)
        left = (progress.total - ended) / rate if rate else 0.0
        self._log(
            f"{progress.done:,} of {progress.total:,} prompts done, {progress.failed:,} failed, "
            f"{progress.in_flight} clips in flight, {format_usd(MicroUsd(progress.paid))} paid, "
            f"{rate:.1f} a second, about {left:.0f} s left"
        )
