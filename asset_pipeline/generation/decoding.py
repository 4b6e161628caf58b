"""Decoding in processes of their own.

In threads of this process it took its turns with the event loop at the interpreter's lock: each
system call of the loop then waited for a decoder to let go, half of the loop's time in a batch.
And a file that crashes its decoder ends a process that holds nothing, not the batch.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections import deque
from pathlib import Path
from typing import Any

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.media.bad_media import BadMediaError, BadMediaReason
from asset_pipeline.media.probe import MediaInfo

_PROGRAM = "asset_pipeline.generation.decoder"

# An answer is one line: a preview of 20 kB in base64, and what the file is.
_LONGEST_ANSWER = 1024 * 1024


class Decoders:
    """Verifies files and draws their previews; as many at once as there are processes.

    A process starts when it is first needed and serves one event loop.

    Args:
        count: Processes at the most, which bounds how many pictures are in memory at once.
        previews: The folder of kept previews.
    """

    def __init__(self, count: int, previews: Path) -> None:
        self._turns = asyncio.Semaphore(count)
        self._previews = previews
        self._idle: deque[Process] = deque()

    async def examine(self, path: Path, kind: Kind) -> tuple[MediaInfo, bytes]:
        """Verify a file and return what it is, with its preview.

        Raises:
            BadMediaError: It is no deliverable clip of its kind, or its decoder crashed twice.
            OSError: The file can't be read, or the preview not kept.
        """
        async with self._turns:
            answer = await self._ask(path, kind)
            if answer is None:
                # Killed from outside, perhaps for its memory: once more, alone in a new process.
                answer = await self._ask(path, kind)
        if answer is None:
            raise BadMediaError(f"{path.name} crashes the decoder.", BadMediaReason.UNDECODABLE)
        return _read(answer)

    async def aclose(self) -> None:
        """End the processes."""
        while self._idle:
            await _end(self._idle.popleft())

    async def _ask(self, path: Path, kind: Kind) -> dict[str, Any] | None:
        """Have one process examine a file; None when it died of it."""
        process = self._idle.popleft() if self._idle else await self._start()
        try:
            line = await _exchange(process, {"path": str(path), "kind": kind.value})
        except BaseException:
            # Its answer would be taken for that to the next question.
            await _end(process)
            raise
        if not line.endswith(b"\n"):
            await _end(process)
            return None
        self._idle.append(process)
        return json.loads(line)

    async def _start(self) -> Process:
        # A session of its own: Ctrl-C is for this process, which then lets the decoder end.
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            _PROGRAM,
            str(self._previews),
            stdin=PIPE,
            stdout=PIPE,
            limit=_LONGEST_ANSWER,
            start_new_session=True,
        )


async def _exchange(process: Process, job: dict[str, str]) -> bytes:
    if process.stdin is None or process.stdout is None:
        return b""
    process.stdin.write(json.dumps(job).encode() + b"\n")
    with contextlib.suppress(ConnectionError):
        await process.stdin.drain()
    return await process.stdout.readline()


async def _end(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()  # previews are written whole or not at all
    await process.wait()


def _read(answer: dict[str, Any]) -> tuple[MediaInfo, bytes]:
    if "bad" in answer:
        message, reason = answer["bad"]
        raise BadMediaError(message, BadMediaReason(reason))
    if "system" in answer:
        number, message = answer["system"]
        raise OSError(number, message)
    if "surprise" in answer:
        raise RuntimeError(answer["surprise"])
    info: dict[str, Any] = answer["info"]
    info["kind"] = Kind(info["kind"])
    return MediaInfo(**info), base64.b64decode(answer["preview"])
