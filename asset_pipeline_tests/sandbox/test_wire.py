"""Whatever comes over the wire: no traceback, no 5xx, and the next good request is served."""

from __future__ import annotations

import contextlib
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from asset_pipeline_tests.sandbox.conftest import SCHNELL

pytestmark = pytest.mark.servers

PATH = f"/v1/models/{SCHNELL}/predictions"

# What is sent over a socket as it is; every one of them is followed by a good request.
_HEAD = f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer r8_x\r\n".encode()
_JSON = b"Content-Type: application/json\r\n"
_CHUNKED = b"Transfer-Encoding: chunked\r\n"
_FILES = _HEAD.replace(PATH.encode(), b"/v1/files")
WIRES = {
    "nothing": b"",
    "blank lines": b"\r\n" * 50,
    "garbage": bytes(range(256)) * 40,
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200,
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/9": b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
    "no version": b"GET /v1/account\r\n\r\n",
    "no host": b"GET /v1/account HTTP/1.0\r\n\r\n",
    "two hosts": b"GET /v1/account HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
    "another's address": b"GET http://evil.example/v1/account HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a path of bytes": b"GET /v1/\xff\xfe\x80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "no path": b"GET  HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "star": b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "connect": b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "own method": b"EAT /v1/account HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "long line": b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "long header": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 2_000_000 + b"\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
    "no colon": b"GET / HTTP/1.1\r\nHost: localhost\r\nnonsense\r\n\r\n",
    "folded": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\r\n b\r\n\r\n",
    "nul in a header": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: \x00\r\n\r\n",
    "bytes in every header": _HEAD.replace(b"r8_x", b"\xff\xfe") + b"Prefer: \xb2\r\n\r\n",
    "length of no number": _HEAD + _JSON + b"Content-Length: ten\r\n\r\n{}",
    "length of superscripts": _HEAD + _JSON + b"Content-Length: \xb2\xb2\r\n\r\n{}",
    "negative length": _HEAD + _JSON + b"Content-Length: -5\r\n\r\n{}",
    "two lengths": _HEAD + _JSON + b"Content-Length: 2\r\nContent-Length: 9\r\n\r\n{}",
    "length too long": _HEAD + _JSON + b"Content-Length: 9999\r\n\r\n{",
    "length and chunks": _HEAD
    + _JSON
    + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "chunk of no number": _HEAD + _JSON + _CHUNKED + b"\r\nzz\r\n{}\r\n0\r\n\r\n",
    "chunk too long": _HEAD + _JSON + _CHUNKED + b"\r\nffff\r\n{}",
    "huge chunk": _HEAD + _JSON + _CHUNKED + b"\r\n" + b"f" * 40 + b"\r\n{}",
    "unknown coding": _HEAD + _JSON + b"Transfer-Encoding: gzip\r\n\r\n{}",
    "websocket": b"GET /v1/account HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    b"Sec-WebSocket-Version: 13\r\n\r\n",
    "h2c": b"GET /v1/account HTTP/1.1\r\nHost: localhost\r\n"
    b"Upgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
    "multipart without end": _FILES + b"Content-Type: multipart/form-data; boundary=b\r\n"
    b"Content-Length: 500\r\n\r\n--b\r\n"
    b"Content-Disposition: form-data; name=content; filename=x\r\n",
    "multipart without boundary": _FILES
    + b"Content-Type: multipart/form-data\r\nContent-Length: 4\r\n\r\n--b\n",
    "multipart of another boundary": _FILES + b"Content-Type: multipart/form-data; boundary=b\r\n"
    b"Content-Length: 8\r\n\r\n--c\r\n\r\n\xff",
}


@pytest.fixture(name="process", scope="module")
def _process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """A server in a process of its own: its port, and what it says of its errors."""
    folder = tmp_path_factory.mktemp("odd")
    errors = folder / "errors"
    command = [sys.executable, "-m", "asset_pipeline.sandbox", "--state-dir", str(folder / "state")]
    with errors.open("wb") as log:
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    assert server.stdout is not None
    try:
        yield httpx.URL(server.stdout.readline().strip()).port or 0, errors
    finally:
        server.terminate()
        server.wait(20)
        server.stdout.close()


def _answer(port: int, wire: bytes, *, slowly: bool = False) -> bytes:
    """Send bytes and hang up halfway; returns what came back within a moment."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        with contextlib.suppress(OSError):
            for part in (wire[: len(wire) // 2], wire[len(wire) // 2 :]) if slowly else (wire,):
                client.sendall(part)
                time.sleep(0.01)
        client.settimeout(0.1)
        with contextlib.suppress(OSError):
            return client.recv(65_536)
    return b""


def _is_served(port: int) -> bool:
    """Ask for the account as a good client does."""
    head = b"GET /v1/account HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer r8_x\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(head + b"Connection: close\r\n\r\n")
        return b"".join(iter(lambda: client.recv(65_536), b"")).startswith(b"HTTP/1.1 200")


def _is_calm(said: Path) -> bool:
    text = said.read_text()
    return "Traceback" not in text and "Exception" not in text


@pytest.mark.parametrize("name", WIRES)
def test_garbage_on_the_wire(process: tuple[int, Path], name: str) -> None:
    """Whatever comes, no answer is a 5xx, no traceback is written, the next one is served."""
    port, said = process
    for slowly in (False, True):
        answer = _answer(port, WIRES[name], slowly=slowly)
        assert not answer.startswith(b"HTTP/1.1 5"), answer[:200]
    assert _is_served(port)
    assert _is_calm(said)


def test_two_hosts_are_none(process: tuple[int, Path]) -> None:
    """What stands before the server may have judged the other one."""
    assert _answer(process[0], WIRES["two hosts"]).startswith(b"HTTP/1.1 400")


def test_mutated_requests(process: tuple[int, Path]) -> None:
    """Good requests with a few bytes changed, lost or repeated do no harm either."""
    port, said = process
    luck = random.Random(2811)
    good = [wire for wire in WIRES.values() if 50 < len(wire) < 2000]
    good.append(_HEAD + _JSON + b'Content-Length: 25\r\n\r\n{"input": {"prompt": "x"}}')
    for _ in range(60):
        wire = bytearray(luck.choice(good))
        for _ in range(luck.randint(1, 6)):
            place = luck.randrange(len(wire))
            wire[place : place + luck.randint(0, 3)] = luck.randbytes(luck.randint(0, 4))
        assert not _answer(port, bytes(wire)).startswith(b"HTTP/1.1 5"), bytes(wire)
    assert _is_served(port)
    assert _is_calm(said)


def test_slow_clients_hold_nobody_up(process: tuple[int, Path]) -> None:
    """Hundreds of connections that send half a request each leave the server free for others."""
    port, said = process
    with contextlib.ExitStack() as stack:
        for _ in range(300):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5))
            client.sendall(_HEAD + _JSON + b"Content-Length: 1000\r\n\r\n{")
        assert _is_served(port)
    assert _is_served(port)
    assert _is_calm(said)
