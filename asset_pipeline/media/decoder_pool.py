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
from asset_pipeline.media.preview import Preview
from asset_pipeline.media.probe import MediaInfo

_PROGRAM = "asset_pipeline.media.decoder_process"

# An answer is one line: a preview of 20 kB in base64, and what the file is.
_LONGEST_ANSWER = 1024 * 1024


class DecoderPool:
    """Verifies files and draws their previews; as many at once as there are processes.

    A process serves one event loop.

    Args:
        count: Processes at the most, which bounds how many pictures are in memory at once.
        previews: The folder of kept previews.
    """

    def __init__(self, count: int, previews: Path) -> None:
        self._count = count
        self._turns = asyncio.Semaphore(count)
        self._previews = previews
        self._members = 0  # processes that run, start or end
        self._idle: deque[asyncio.Task[Process]] = deque()

    def expect(self) -> None:
        """Start a process unless there are enough: a file is on its way.

        A start takes half a second of a core, which is free while the first predictions run.
        """
        if self._members < self._count:
            self._idle.append(self._start())

    async def examine(self, path: Path, kind: Kind) -> tuple[MediaInfo, Preview]:
        """Verify a file and return what it is, with its preview.

        Raises:
            BadMediaError: It is no deliverable clip of its kind, or its decoder crashed twice.
            OSError: The file can't be read, or the preview not kept.
        """
        return _read(await self._answer(path, kind))

    async def receive(self, path: Path, kind: Kind) -> tuple[MediaInfo, Preview, str | None]:
        """Mend the header of a streamed sound, then examine the file as :meth:`examine` does.

        Args:
            path: A file of one's own; it may be changed.
            kind: What was due.

        Returns:
            What the file is then, its preview, and the SHA-256 that it had before if it was mended.

        Raises:
            BadMediaError: It is no deliverable clip of its kind, or its decoder crashed twice.
            OSError: The file can't be read, or the preview not kept.
        """
        answer = await self._answer(path, kind, mend=True)
        return (*_read(answer), answer["received"])

    async def aclose(self) -> None:
        """End the processes."""
        while self._idle:
            await self._end(self._idle.popleft())

    async def _answer(self, path: Path, kind: Kind, *, mend: bool = False) -> dict[str, Any]:
        job = {"path": str(path), "kind": kind.value, "mend": mend}
        async with self._turns:
            answer = await self._ask(job)
            if answer is None:
                # Killed from outside, perhaps for its memory and the others with it: once more, in
                # a new process.
                answer = await self._ask(job, anew=True)
        if answer is None:
            raise BadMediaError(f"{path.name} crashes the decoder.", BadMediaReason.UNDECODABLE)
        return answer

    async def _ask(self, job: dict[str, Any], *, anew: bool = False) -> dict[str, Any] | None:
        """Have one process examine a file; None when it died of it."""
        if anew and self._idle:
            await self._end(self._idle.popleft())
        member = self._start() if anew or not self._idle else self._idle.popleft()
        line = b""
        try:
            line = await _exchange(await member, job)
        finally:
            if line.endswith(b"\n"):
                self._idle.append(member)
            else:
                # Dead, or its answer would be taken for that to the next question.
                await self._end(member)
        return json.loads(line) if line.endswith(b"\n") else None

    def _start(self) -> asyncio.Task[Process]:
        self._members += 1
        return asyncio.create_task(_started(self._previews))

    async def _end(self, member: asyncio.Task[Process]) -> None:
        self._members -= 1
        if member.cancelled():
            return  # while it started; nothing is left of it
        # Its end may be waited for in a stop: the stop's own cancellation must get through.
        with contextlib.suppress(OSError):
            process = await member
            with contextlib.suppress(ProcessLookupError):
                process.kill()  # previews are written whole or not at all
            await process.wait()


async def _started(previews: Path) -> Process:
    # A session of its own: Ctrl-C is for this process, which then lets the decoder end.
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        _PROGRAM,
        str(previews),
        stdin=PIPE,
        stdout=PIPE,
        limit=_LONGEST_ANSWER,
        start_new_session=True,
    )


async def _exchange(process: Process, job: dict[str, Any]) -> bytes:
    if process.stdin is None or process.stdout is None:
        return b""
    process.stdin.write(json.dumps(job).encode() + b"\n")
    with contextlib.suppress(ConnectionError):
        await process.stdin.drain()
    return await process.stdout.readline()


def _read(answer: dict[str, Any]) -> tuple[MediaInfo, Preview]:
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
    preview = Preview(base64.b64decode(answer["preview"]), base64.b64decode(answer["thumbnail"]))
    return MediaInfo(**info), preview
