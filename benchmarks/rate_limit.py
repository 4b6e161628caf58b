"""How much of a limit a minute one, two and four processes use, and what a slot costs.

Real processes on one SQLite ledger, each with sixty-four clips that want to create all the time,
in front of the sandbox's own limiter. A run is longer than a minute, so that the limiter's window
is full: what is used of the limit counts from the start, a refusal is a 429 of our own making.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import multiprocessing
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.synchronize import Barrier
from pathlib import Path

from pydantic import SecretStr

from asset_pipeline.clock import SystemClock
from asset_pipeline.generation.payment.rate_limiter import RateLimiter
from asset_pipeline.ledger.engine import open_engine
from asset_pipeline.ledger.group_commit import GroupCommit
from asset_pipeline.ledger.rate_limit import RateLimitRepository
from asset_pipeline.sandbox.options import SandboxOptions
from asset_pipeline.sandbox.ratelimit import RateLimit, Traffic
from asset_pipeline.sandbox.state import State

CLIPS = 64


def main(arguments: Sequence[str]) -> int:
    """Print the share of the limit that was used, the refusals and the CPU of a slot."""
    parser = argparse.ArgumentParser(prog="rate_limit", description=__doc__)
    parser.add_argument("--per-minute", type=int, default=600)
    parser.add_argument("--seconds", type=float, default=75)
    parser.add_argument("--processes", default="1,2,4")
    given = parser.parse_args(arguments)
    worst, refused = 1.0, 0
    for count in map(int, given.processes.split(",")):
        results = _run(count, given.per_minute, given.seconds)
        sent = [result[0] for result in results]
        share = sum(sent) / (given.per_minute * given.seconds / 60)
        worst, refused = min(worst, share), refused + sum(result[1] for result in results)
        cpu = sum(result[2] for result in results) / sum(sent)
        print(
            f"{count} processes: {share:.1%} of {given.per_minute} a minute, "
            f"{sum(result[1] for result in results)} refused, {min(sent)} to {max(sent)} each, "
            f"{cpu * 1000:.2f} ms of CPU a create",
            flush=True,
        )
    print(f"the CPU of a create without a limit: {_free() * 1000:.3f} ms")
    return 0 if worst >= 0.95 and not refused else 1


def _run(count: int, per_minute: int, seconds: float) -> list[tuple[int, int, float]]:
    """Return creates, refusals and CPU seconds of each process."""
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="rate-limit-") as folder:
        open_engine(_url(folder)).dispose()
        State(Path(folder)).close()
        start, results = spawn.Barrier(count), spawn.Queue()
        processes = [
            spawn.Process(target=_process, args=(folder, per_minute, seconds, start, results))
            for _ in range(count)
        ]
        for process in processes:
            process.start()
        found = [results.get(timeout=seconds + 120) for _ in processes]
        for process in processes:
            process.join()
    return found


def _process(
    folder: str,
    per_minute: int,
    seconds: float,
    start: Barrier,
    results: multiprocessing.Queue[tuple[int, int, float]],
) -> None:
    results.put(asyncio.run(_creates(folder, per_minute, seconds, start)))


async def _creates(
    folder: str, per_minute: int, seconds: float, start: Barrier
) -> tuple[int, int, float]:
    door = RateLimit(State(Path(folder)), SandboxOptions(creates_per_minute=per_minute))
    sent = refused = 0
    at_the_door = 0.0
    clock, engine = SystemClock(), open_engine(_url(folder))
    with GroupCommit(engine) as writing:
        book = RateLimitRepository(engine, clock)
        limiter = RateLimiter(per_minute, clock, book, writing)
        start.wait(60)
        end, cpu = time.monotonic() + seconds, time.process_time()

        async def clip() -> None:
            nonlocal sent, refused, at_the_door
            while True:
                await limiter.acquire()
                if time.monotonic() >= end:
                    return
                before = time.process_time()
                allowance = door.take(Traffic.CREATES, "POST")
                at_the_door += time.process_time() - before
                sent, refused = sent + 1, refused + (not allowance.allowed)

        clips = [asyncio.ensure_future(clip()) for _ in range(CLIPS)]
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*clips), seconds + 5)
        return sent, refused, time.process_time() - cpu - at_the_door


def _free() -> float:
    """Return the CPU seconds of a create when there is no limit."""

    async def run() -> float:
        with tempfile.TemporaryDirectory() as folder:
            clock, engine = SystemClock(), open_engine(_url(folder))
            with GroupCommit(engine) as writing:
                limiter = RateLimiter(0, clock, RateLimitRepository(engine, clock), writing)
                before = time.process_time()
                for _ in range(10_000):
                    await limiter.acquire()
                return (time.process_time() - before) / 10_000

    return asyncio.run(run())


def _url(folder: str) -> SecretStr:
    return SecretStr(f"sqlite:///{Path(folder) / 'ledger.db'}")
