"""A loopback server that answers exactly what a test scripts, bytes and all."""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from socket import SO_LINGER, SOL_SOCKET

JSON = "application/json"
PROBLEM = "application/problem+json"


@dataclass(frozen=True)
class Received:
    """One request as it came over the wire; header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> dict[str, object]:
        """The body as JSON."""
        return json.loads(self.body)


Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Scripted:
    """A running server: its address, its script and what it has received so far.

    The last answer of a script is given to every further request.

    Attributes:
        routes: Scripts of paths that have their own.
        choose: Answers everything, in the place of all scripts.
    """

    url: str
    script: list[Answer]
    received: list[Received] = field(default_factory=list)
    routes: dict[str, list[Answer]] = field(default_factory=dict)
    choose: Callable[[Received], Answer] | None = None
    connections: int = 0
    talks: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

    async def all_closed(self) -> None:
        """Return when the clients have closed all their connections."""
        async with asyncio.timeout(30):
            await asyncio.gather(*self.talks)

    def posts(self) -> int:
        """How many POSTs came over the wire."""
        return sum(request.method == "POST" for request in self.received)

    def asked(self, path: str) -> int:
        """How often a path was asked for."""
        return sum(request.path == path for request in self.received)

    def answer_to(self, request: Received) -> Answer:
        """Take the next answer off the script of a request's path."""
        if self.choose is not None:
            return self.choose(request)
        script = self.routes.get(request.path, self.script)
        return script.pop(0) if len(script) > 1 else script[0]


def reply(
    status: int,
    body: object = None,
    *,
    content_type: str = JSON,
    headers: dict[str, str] | None = None,
    length: int | None = None,
) -> Answer:
    """Answer with a status and a body: bytes as they are, anything else as JSON.

    Args:
        status: The HTTP status.
        body: What to send.
        content_type: Of the body.
        headers: Further headers.
        length: The Content-Length to claim, when it shall not be the true one.
    """
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = {"content-type": content_type, "content-length": str(length or len(content))}
    lines = [f"HTTP/1.1 {status} X", *(f"{k}: {v}" for k, v in (head | (headers or {})).items())]
    data = "\r\n".join(lines).encode() + b"\r\n\r\n" + content

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        if length is not None:
            writer.close()

    return answer


def drop() -> Answer:
    """Reset the connection after having read the request."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        # Zero linger makes the close a reset, as a killed proxy does.
        writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        writer.close()
        await asyncio.sleep(0)

    return answer


def close() -> Answer:
    """Close the connection politely, without a word, after having read the request."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.close()
        await asyncio.sleep(0)

    return answer


def hang() -> Answer:
    """Never answer."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        del writer
        await asyncio.sleep(3600)

    return answer


def drip(byte_every: float) -> Answer:
    """Answer so slowly that no single read ever times out, and never come to an end."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 201 X\r\ncontent-length: 100000\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(byte_every)

    return answer


@contextlib.asynccontextmanager
async def serving(*script: Answer) -> AsyncGenerator[Scripted]:
    """Serve a script on a free loopback port of this event loop."""
    scripted = Scripted("", list(script))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        scripted.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while not writer.is_closing():
                scripted.received.append(await _read(reader))
                await scripted.answer_to(scripted.received[-1])(writer)
        writer.close()

    async def tracked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        scripted.talks.add(task)
        with contextlib.suppress(asyncio.CancelledError):
            await serve(reader, writer)
        scripted.talks.discard(task)

    server = await asyncio.start_server(tracked, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    scripted.url = f"http://{host}:{port}"
    try:
        yield scripted
    finally:
        server.close()
        for task in list(scripted.talks):
            task.cancel()
        await asyncio.gather(*scripted.talks, return_exceptions=True)


async def _read(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    method, path, _ = head[0].split(" ")
    pairs = (line.split(":", 1) for line in head[1:] if line)
    headers = {name.strip().lower(): value.strip() for name, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(method, path, headers, body)
