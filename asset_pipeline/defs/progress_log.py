"""A line in the run's log every few seconds, so that a long step is seen to move."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable

from asset_pipeline.clock import Clock
from asset_pipeline.generation.batch import BatchProgress
from asset_pipeline.money import MicroUsd, format_usd

_SECONDS = 5.0


class ProgressLines:
    """Says each five seconds how a batch stands, whether or not a clip landed meanwhile.

    Args:
        log: Takes a line.
        clock: For the pace and the time left.
    """

    def __init__(self, log: Callable[[str], None], clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._started = clock.monotonic()
        self._progress: BatchProgress | None = None

    def __call__(self, progress: BatchProgress) -> None:
        """Take the running totals, which go on changing in place."""
        self._progress = progress

    @contextlib.asynccontextmanager
    async def each_five_seconds(self) -> AsyncGenerator[None]:
        """Log a line every five seconds within the block."""
        task = asyncio.create_task(self._keep_saying())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _keep_saying(self) -> None:
        while True:
            await self._clock.sleep(_SECONDS)
            if self._progress is not None:
                # A line in the event log is a write of some milliseconds.
                await asyncio.to_thread(self._log, self._line(self._progress))

    def _line(self, progress: BatchProgress) -> str:
        ended = progress.done + progress.failed
        rate = ended / (self._clock.monotonic() - self._started)
        left = f"about {(progress.total - ended) / rate:.0f} s left" if rate else "none ended yet"
        waiting = progress.waiting()
        held = f"{waiting:,} wait for reserved money to come back, " if waiting else ""
        return (
            f"{progress.done:,} of {progress.total:,} prompts done, {progress.failed:,} failed, "
            f"{progress.in_flight()} clips in flight, {held}"
            f"{format_usd(MicroUsd(progress.paid))} paid, {rate:.1f} a second, {left}"
        )
