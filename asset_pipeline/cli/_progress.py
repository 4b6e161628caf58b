"""Progress of clips, dollars and failures: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from asset_pipeline.cli._output import say, stderr
from asset_pipeline.cli._summary import Tally
from asset_pipeline.clock import Clock
from asset_pipeline.money import format_usd

_LINE_SECONDS = 5.0


@contextlib.contextmanager
def showing(tally: Tally, clock: Clock) -> Generator[Callable[[], None]]:
    """Show a tally on stderr while the block runs; yields what to call after each change."""
    console = stderr()
    if console.is_terminal:
        with _bar(console, tally, clock) as update:
            yield update
    else:
        lines = _Lines(console, tally, clock)
        try:
            yield lines.update
        finally:
            lines.end()


@contextlib.contextmanager
def _bar(console: Console, tally: Tally, clock: Clock) -> Generator[Callable[[], None]]:
    started = clock.monotonic()
    columns = (
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("clips"),
        TextColumn("{task.fields[paid]}"),
        TextColumn("{task.fields[failed]} failed", style="red"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        _Waiting(tally),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=tally.clips, paid="$0.00", failed=0, rate="")

        def update() -> None:
            progress.update(
                task,
                completed=tally.landed + tally.failed + tally.refused,
                paid=format_usd(tally.paid),
                failed=tally.failed,
                rate=f"{_rate(tally, clock.monotonic() - started):.1f}/s",
            )

        yield update


class _Waiting(ProgressColumn):
    """Says that clips wait for money; drawn anew all the time, since nothing ends meanwhile."""

    def __init__(self, tally: Tally) -> None:
        super().__init__()
        self._tally = tally

    def render(self, task: Task) -> Text:
        """Return what it says now."""
        del task
        return Text(_waiting(self._tally), style="yellow")


class _Lines:
    """Progress for logs: at most a line every few seconds, and one at the end."""

    def __init__(self, console: Console, tally: Tally, clock: Clock) -> None:
        self._console = console
        self._tally = tally
        self._clock = clock
        self._started = self._last = clock.monotonic()

    def update(self) -> None:
        """Print a line if the last one is old enough."""
        now = self._clock.monotonic()
        if now - self._last >= _LINE_SECONDS:
            self._last = now
            self._print(now)

    def end(self) -> None:
        """Print how it ended."""
        self._print(self._clock.monotonic())

    def _print(self, now: float) -> None:
        tally = self._tally
        rate = _rate(tally, now - self._started)
        left = tally.clips - tally.landed - tally.failed - tally.refused
        parts = [
            f"{tally.landed:,} of {tally.clips:,} clips",
            f"{format_usd(tally.paid)} paid",
            f"{tally.failed:,} failed",
            *([f"{tally.refused:,} refused by a budget"] if tally.refused else []),
            f"{rate:.1f} a second",
        ]
        if waiting := _waiting(tally):
            parts.append(waiting)
        if left and rate:
            parts.append(f"about {left / rate:.0f} s left")
        say(self._console, ", ".join(parts))


def _waiting(tally: Tally) -> str:
    count = tally.waiting()
    return f"{count:,} waiting for reserved money to come back" if count else ""


def _rate(tally: Tally, seconds: float) -> float:
    return (tally.landed + tally.failed + tally.refused) / seconds if seconds > 0 else 0.0
