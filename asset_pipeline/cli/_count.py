"""Progress of a count to a total: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from asset_pipeline.cli._output import say, stderr
from asset_pipeline.clock import Clock

_LINE_SECONDS = 5.0

Update = Callable[[int, int, str], None]
"""Takes how many are done, of how many, and a word on how it goes."""


@contextlib.contextmanager
def counting(noun: str, clock: Clock) -> Generator[Update]:
    """Show progress on stderr while the block runs; yields what to call after each step."""
    console = stderr()
    if console.is_terminal:
        columns = (
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn(noun),
            TextColumn("{task.fields[word]}"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console) as progress:
            task = progress.add_task("", total=None, word="")

            def update(done: int, total: int, word: str) -> None:
                progress.update(task, completed=done, total=total, word=word)

            yield update
        return
    said = [clock.monotonic()]

    def line(done: int, total: int, word: str) -> None:
        now = clock.monotonic()
        if now - said[0] >= _LINE_SECONDS:
            said[0] = now
            say(console, f"{done:,} of {total:,} {noun} {word}".rstrip())

    yield line
