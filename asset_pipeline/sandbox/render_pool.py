"""The server's side of its drawing and speaking processes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Any

_MOST_WORKERS = 4


class RenderError(Exception):
    """A file cannot be made of this request."""


class InterruptedRenderError(RenderError):
    """A file was not made: the process at work on it ended. It can be asked for again."""


class RenderPool:
    """Hands jobs out to worker processes, one a core and at most four.

    A worker starts with its first job, and the least busy gets the next: a server that is asked
    for one file at a time has one.
    """

    def __init__(self) -> None:
        count = min(_MOST_WORKERS, os.cpu_count() or 1)
        self._benches = [_Bench() for _ in range(count)]

    async def render(self, kind: str, path: Path, request: dict[str, Any]) -> float | None:
        """Have a file made.

        Args:
            kind: ``image`` or ``audio``.
            path: Where to.
            request: Fields of a ``PictureRequest`` or a ``SoundRequest``.

        Returns:
            The seconds of a sound, None for a picture.

        Raises:
            RenderError: It cannot be made.
            InterruptedRenderError: It was not made, and may be asked for again.
        """
        # One worker does all the speaking: the voice takes 150 MB and a second to load.
        benches = self._benches[-1:] if kind == "audio" else self._benches
        bench = min(benches, key=lambda bench: bench.load)
        return await bench.do({"kind": kind, "path": str(path), "request": request})

    async def close(self) -> None:
        """End the workers."""
        await asyncio.gather(*(bench.close() for bench in self._benches))


class _Bench:
    """One worker process and the jobs it was given."""

    def __init__(self) -> None:
        self._process: Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._waiting: dict[int, asyncio.Future[float | None]] = {}
        self._number = 0

    @property
    def load(self) -> int:
        """How many jobs are not answered yet."""
        return len(self._waiting)

    async def do(self, job: dict[str, Any]) -> float | None:
        self._number += 1
        number = self._number
        answer: asyncio.Future[float | None] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        process = await self._running()
        if process.stdin is None:
            raise InterruptedRenderError("The worker has no input.")
        process.stdin.write(json.dumps({"number": number, **job}).encode() + b"\n")
        return await answer

    async def close(self) -> None:
        if self._process is None or self._reading is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()  # files are written whole or not at all
        await self._reading

    async def _running(self) -> Process:
        async with self._starting:
            if self._process is None or self._process.returncode is not None:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    "asset_pipeline.sandbox.render_worker",
                    stdin=PIPE,
                    stdout=PIPE,
                )
                self._reading = asyncio.create_task(self._read(self._process))
            return self._process

    async def _read(self, process: Process) -> None:
        if process.stdout is not None:
            async for line in process.stdout:
                self._settle(json.loads(line))
        await process.wait()
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(InterruptedRenderError("The drawing process ended."))
        self._waiting.clear()

    def _settle(self, said: dict[str, Any]) -> None:
        answer = self._waiting.pop(int(said["number"]), None)
        if answer is None or answer.done():
            return
        if "error" in said:
            kind = InterruptedRenderError if said["again"] else RenderError
            answer.set_exception(kind(said["error"]))
        else:
            answer.set_result(said["seconds"])
