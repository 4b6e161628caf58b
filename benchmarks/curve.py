"""Ten thousand clips in one command: does a clip cost the same at the end as at the beginning?

One `generate --all` on a sandbox without latency and without a limit. Each thousand clips in the
ledger make a row: the seconds and the CPU that they took, and the memory of the command and of its
decoders at that moment. The rows fall in the middle of Dagster's runs of a thousand.
"""

from __future__ import annotations

import argparse
import contextlib
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.generate_speed import GENERATE, project, sandbox

_LOOK_SECONDS = 0.25
_MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class Mark:
    """How things stood when a number of clips was reached; seconds since the start."""

    clips: int
    seconds: float
    cpu_seconds: float
    command_mb: float
    decoders_mb: float


def main(arguments: Sequence[str]) -> int:
    """Print a row for each part of the clips."""
    parser = argparse.ArgumentParser(prog="curve", description=__doc__)
    parser.add_argument("--clips", type=int, default=10_000)
    parser.add_argument("--rows", type=int, default=10)
    given = parser.parse_args(arguments)
    step = max(1, given.clips // given.rows)
    print("| clips | s | clips a second | CPU ms a clip | command MB | with decoders MB |")
    print("|---|---|---|---|---|---|")
    before, next_at = Mark(0, 0.0, 0.0, 0.0, 0.0), step // 2
    with tempfile.TemporaryDirectory(prefix="curve-") as name, sandbox(Path(name), "0") as url:
        process = subprocess.Popen(
            GENERATE,
            env=project(url, Path(name), given.clips, 64),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        started = time.monotonic()
        while process.poll() is None:
            clips = _landed(Path(name) / "data")
            with contextlib.suppress(psutil.NoSuchProcess):
                if clips >= next_at:
                    mark = _mark(process.pid, clips, time.monotonic() - started)
                    _show(before, mark)
                    before, next_at = mark, next_at + step
            time.sleep(_LOOK_SECONDS)
        print(f"{_landed(Path(name) / 'data')} clips, {time.monotonic() - started:.1f} s in all")
        return process.returncode


def _mark(pid: int, clips: int, seconds: float) -> Mark:
    command = psutil.Process(pid)
    decoders = command.children()
    times = [member.cpu_times() for member in (command, *decoders)]
    own = times[0]  # the decoders of earlier runs are counted in it
    return Mark(
        clips,
        seconds,
        sum(each.user + each.system for each in times) + own.children_user + own.children_system,
        command.memory_info().rss / _MEGABYTE,
        sum(each.memory_info().rss for each in decoders) / _MEGABYTE,
    )


def _show(before: Mark, mark: Mark) -> None:
    clips, seconds = mark.clips - before.clips, mark.seconds - before.seconds
    cpu = (mark.cpu_seconds - before.cpu_seconds) / clips * 1000
    whole = mark.command_mb + mark.decoders_mb
    print(
        f"| {mark.clips:,} | {mark.seconds:.0f} | {clips / seconds:.1f} | {cpu:.1f} "
        f"| {mark.command_mb:.0f} | {whole:.0f} |",
        flush=True,
    )


def _landed(data: Path) -> int:
    file = data / "ledger.sandbox.db"
    if not file.exists():
        return 0
    with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
        try:
            return connection.execute("SELECT count(*) FROM clips").fetchone()[0]
        except sqlite3.OperationalError:
            return 0  # its tables are just being made
