from __future__ import annotations

from asset_pipeline.assets.progress import ProgressLines
from asset_pipeline.generation.batch import BatchProgress


class _Clock:
    """A clock that stands where it was put; only `monotonic` is asked for."""

    time = 100.0

    def monotonic(self) -> float:
        return self.time


def test_a_line_each_five_seconds_says_what_a_person_asks() -> None:
    """Done, failed, in flight, dollars, rate and time left, and no more than a line in 5 s."""
    clock, lines = _Clock(), list[str]()
    report = ProgressLines(lines.append, clock)  # pyright: ignore[reportArgumentType]
    progress = BatchProgress(total=40, done=8, failed=2, in_flight=16, paid=24_000)
    clock.time += 4.9
    report(progress)
    assert lines == []
    clock.time += 0.1
    report(progress)
    report(progress)
    (line,) = lines
    assert line.startswith("8 of 40 prompts done, 2 failed, 16 clips in flight, $0.024 paid")
    assert line.endswith("2.0 a second, about 15 s left")
