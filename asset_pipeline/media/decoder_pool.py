"""Decoding in processes of their own.

In threads of this process it took its turns with the event loop at the interpreter's lock: each
system call of the loop then waited for a decoder to let go, half of the loop's time in a batch.
And a file that crashes its decoder, or that would take all memory or all time, ends a process that
holds nothing, no secret either: not the batch.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import errno
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.foreign.text import cleaned
from asset_pipeline.measures import DECODER_RESTARTS, MEASURES
from asset_pipeline.media.bad_media import BadMediaError, BadMediaReason
from asset_pipeline.media.decoder_process import READY
from asset_pipeline.media.preview import Preview
from asset_pipeline.media.probe import MediaInfo

if TYPE_CHECKING:
    from asset_pipeline.settings import Settings

_PROGRAM = "asset_pipeline.media.decoder_process"

# An answer is one line: a preview of 20 kB in base64, and what the file is.
_LONGEST_ANSWER = 1024 * 1024

# Half a second is usual, on a machine that swaps it takes tens.
_START_SECONDS = 120.0

# Codecs write what they think to stderr, one of them 54 MB of it for a damaged file.
_STDERR_KEPT = 2_000
_STDERR_BLOCK = 64 * 1024
_SENTENCE = 200

# What an interpreter needs to start and to find its modules. Tokens, cloud keys and addresses with
# passwords are no business of code that reads files of others.
_ENVIRONMENT = (
    "PATH",
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONPYCACHEPREFIX",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "DYLD_FALLBACK_LIBRARY_PATH",
    "TMPDIR",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
)
# Threads that have nothing to do reserve address space, tens of megabytes for each core.
_QUIET = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}


@dataclass(frozen=True, slots=True)
class DecoderLimits:
    """What one file may take of the machine.

    Attributes:
        megabytes: Address space of the process. The largest picture takes 820.
        cpu_seconds: Of computing. The largest picture takes 5.
        wall_seconds: Until an answer, for what waits and does not compute; a machine with five
            times as much to do as it has cores needs five times the other.
    """

    megabytes: int = 2048
    cpu_seconds: int = 60
    wall_seconds: float = 300.0

    @classmethod
    def configured(cls, settings: Settings) -> Self:
        """Return the limits of the environment."""
        return cls(
            settings.decoder_megabytes, settings.decoder_cpu_seconds, settings.decoder_wall_seconds
        )


class DecoderPool:
    """Verifies files and draws their previews; as many at once as there are processes.

    A process serves one event loop.

    Args:
        count: Processes at the most, which bounds how many pictures are in memory at once.
        previews: The folder of kept previews.
        limits: What a file may take; the usual ones if not given.
    """

    def __init__(self, count: int, previews: Path, limits: DecoderLimits | None = None) -> None:
        self._limits = limits or DecoderLimits()
        self._count = count
        self._turns = asyncio.Semaphore(count)
        self._previews = previews
        self._members = 0  # processes that run, start or end
        self._idle: deque[asyncio.Task[_Member]] = deque()

    def expect(self) -> None:
        """Start a process unless there are enough: a file is on its way.

        A start takes half a second of a core, which is free while the first predictions run.
        """
        if self._members < self._count:
            self._idle.append(self._start())

    async def examine(self, path: Path, kind: Kind) -> tuple[MediaInfo, Preview]:
        """Verify a file and return what it is, with its preview.

        Raises:
            BadMediaError: It is no deliverable clip of its kind, takes more than the limits, or
                crashed its decoder twice.
            OSError: The file can't be read, the preview not kept, or no decoder started.
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
            BadMediaError: It is no deliverable clip of its kind, takes more than the limits, or
                crashed its decoder twice.
            OSError: The file can't be read, the preview not kept, or no decoder started.
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
            if isinstance(answer, _Death) and answer.may_be_chance:
                # Killed from outside, perhaps for its memory and the others with it: once more, in
                # a new process.
                answer = await self._ask(job, anew=True)
        if isinstance(answer, _Death):
            raise answer.refusal(path.name, self._limits)
        return answer

    async def _ask(self, job: dict[str, Any], *, anew: bool = False) -> dict[str, Any] | _Death:
        """Have one process examine a file; return how it ended when it died of it."""
        if anew and self._idle:
            await self._end(self._idle.popleft())
        starting = self._start() if anew or not self._idle else self._idle.popleft()
        line, timed_out = b"", False
        try:
            member = await starting
            try:
                async with asyncio.timeout(self._limits.wall_seconds):
                    line = await member.exchange(job)
            except TimeoutError:
                timed_out = True
        finally:
            if line.endswith(b"\n"):
                self._idle.append(starting)
            else:
                # Dead, or its answer would be taken for that to the next question.
                MEASURES.count(DECODER_RESTARTS)
                await self._end(starting)
        if line.endswith(b"\n"):
            return json.loads(line)
        return _Death(timed_out, member.process.returncode, await member.last_words())

    def _start(self) -> asyncio.Task[_Member]:
        self._members += 1
        return asyncio.create_task(_started(self._previews, self._limits))

    async def _end(self, starting: asyncio.Task[_Member]) -> None:
        self._members -= 1
        if starting.cancelled():
            return  # while it started; nothing is left of it
        # Its end may be waited for in a stop: the stop's own cancellation must get through.
        with contextlib.suppress(OSError):
            await (await starting).end()


@dataclass(frozen=True, slots=True)
class _Death:
    """How a decoder ended that owed an answer."""

    timed_out: bool
    status: int | None
    said: str

    @property
    def may_be_chance(self) -> bool:
        """Whether another process may live through the same file."""
        return not self.timed_out and self.status != -signal.SIGXCPU

    def refusal(self, name: str, limits: DecoderLimits) -> BadMediaError:
        if self.timed_out:
            message = f"{name} takes longer than {limits.wall_seconds:,.0f} s to decode."
            return BadMediaError(message, BadMediaReason.TOO_LARGE)
        if self.status == -signal.SIGXCPU:
            message = f"{name} takes more than {limits.cpu_seconds:,} s of computing to decode."
            return BadMediaError(message, BadMediaReason.TOO_LARGE)
        end = f": {self.said}" if self.said else "."
        return BadMediaError(f"{name} crashes the decoder{end}", BadMediaReason.UNDECODABLE)


@dataclass(slots=True)
class _Member:
    """A decoder process, and the end of what it wrote to stderr."""

    process: Process
    said: bytearray = field(default_factory=bytearray)
    listening: asyncio.Task[None] | None = None

    def listen(self) -> None:
        self.listening = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        stderr = self.process.stderr
        while stderr is not None and (block := await stderr.read(_STDERR_BLOCK)):
            self.said += block
            del self.said[:-_STDERR_KEPT]

    async def exchange(self, job: dict[str, Any]) -> bytes:
        process = self.process
        if process.stdin is None or process.stdout is None:
            return b""
        self.said.clear()
        process.stdin.write(json.dumps(job).encode() + b"\n")
        with contextlib.suppress(ConnectionError):
            await process.stdin.drain()
        try:
            return await process.stdout.readline()
        except ValueError:
            return b""  # longer than any answer: it is none of ours

    async def last_words(self) -> str:
        """Return the last line of its stderr, once it has ended."""
        if self.listening is not None:
            await asyncio.wait([self.listening], timeout=1.0)
        lines = self.said.decode(errors="replace").strip().splitlines()
        return cleaned(lines[-1], _SENTENCE) if lines else ""

    async def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()  # previews are written whole or not at all
        await self.process.wait()


async def _started(previews: Path, limits: DecoderLimits) -> _Member:
    """Start a decoder.

    Raises:
        OSError: This machine can't, for want of memory or of file handles: no file's fault.
    """
    # A session of its own: Ctrl-C is for this process, which then lets the decoder end.
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        _PROGRAM,
        str(previews),
        str(limits.megabytes),
        str(limits.cpu_seconds),
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        env=_environment(os.environ),
        limit=_LONGEST_ANSWER,
        start_new_session=True,
    )
    member = _Member(process)
    member.listen()
    line = b""
    try:
        if process.stdout is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_START_SECONDS):
                    line = await process.stdout.readline()
    finally:
        if line != READY:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
    if line != READY:
        await process.wait()
        said = await member.last_words()
        raise OSError(errno.ENOMEM, f"a decoder can't be started: {said or 'it ended at once'}")
    return member


def _environment(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: environment[name] for name in _ENVIRONMENT if name in environment} | _QUIET


def _read(answer: dict[str, Any]) -> tuple[MediaInfo, Preview]:
    if "bad" in answer:
        message, reason = answer["bad"]
        raise BadMediaError(message, BadMediaReason(reason))
    if "system" in answer:
        number, message = answer["system"]
        raise OSError(number, message)
    info: dict[str, Any] = answer["info"]
    info["kind"] = Kind(info["kind"])
    preview = Preview(base64.b64decode(answer["preview"]), base64.b64decode(answer["thumbnail"]))
    return MediaInfo(**info), preview
