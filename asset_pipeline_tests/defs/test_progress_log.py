from __future__ import annotations

import asyncio

from asset_pipeline.defs.progress_log import ProgressLines
from asset_pipeline.generation.batch import BatchProgress


class _Clock:
    """A clock on which each sleep is a step of the test; it stops after the last."""

    def __init__(self, sleeps: int) -> None:
        self.time = 100.0
        self.slept: list[float] = []
        self.over = asyncio.Event()
        self._sleeps = sleeps

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        if len(self.slept) == self._sleeps:
            self.over.set()
            await asyncio.Event().wait()
        self.slept.append(seconds)
        self.time += seconds


def _lines(progress: BatchProgress | None, sleeps: int) -> list[str]:
    lines: list[str] = []

    async def watch() -> None:
        clock = _Clock(sleeps)
        report = ProgressLines(lines.append, clock)  # pyright: ignore[reportArgumentType]
        if progress is not None:
            report(progress)
        async with report.each_five_seconds():
            await clock.over.wait()
        assert clock.slept == [5.0] * sleeps

    asyncio.run(watch())
    return lines


def test_a_line_each_five_seconds_says_what_a_person_asks() -> None:
    """Done, failed, in flight, dollars, rate and time left, however slow the model is."""
    lines = _lines(BatchProgress(total=40, done=8, failed=2, in_flight=lambda: 16, paid=24_000), 3)
    assert len(lines) == 3
    assert lines[0].startswith("8 of 40 prompts done, 2 failed, 16 clips in flight, $0.024 paid")
    assert lines[0].endswith("2.0 a second, about 15 s left")
    assert lines[1].endswith("1.0 a second, about 30 s left")


def test_nothing_ended_is_said_too() -> None:
    """The first minute of a slow model is no silence; before the batch began there is one."""
    (line,) = _lines(BatchProgress(total=4, in_flight=lambda: 4), 1)
    assert line == (
        "0 of 4 prompts done, 0 failed, 4 clips in flight, $0.00 paid, 0.0 a second, none ended yet"
    )
    assert _lines(None, 2) == []
