"""A proxy that stands before a real server and does to chosen requests what networks do."""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import urlsplit

Mishap = Literal["lose_request", "lose_reply", "damage", "cut", "busy"]


@dataclass(frozen=True)
class Request:
    """A request as it arrived; the path with its query, the names of headers in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class _Rule:
    mishap: Mishap
    method: str
    containing: str
    left: int


@dataclass
class Proxy:
    """What to do to requests, and which came.

    Attributes:
        upstream: The origin of the server behind.
        url: The proxy's own origin.
        check: Returns the status to refuse a request with, or None to let it pass.
        host: Returns the host to name to the server for a path; None leaves it as it came.
        seen: All requests so far, in order.
    """

    upstream: str
    url: str = ""
    check: Callable[[Request], int | None] = lambda _: None
    host: Callable[[str], str | None] = lambda _: None
    seen: list[Request] = field(default_factory=list)
    _rules: list[_Rule] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def strike(
        self, mishap: Mishap, method: str = "PUT", *, containing: str = "", times: int = 1
    ) -> None:
        """Let something happen to the next requests of a method whose path contains a text."""
        with self._lock:
            self._rules.append(_Rule(mishap, method, containing, times))

    def forget(self) -> None:
        """Let nothing happen any more, and forget what was seen."""
        with self._lock:
            self._rules.clear()
            self.seen.clear()

    def mishap_of(self, request: Request) -> Mishap | None:
        with self._lock:
            self.seen.append(request)
            for rule in self._rules:
                if rule.left and rule.method == request.method and rule.containing in request.path:
                    rule.left -= 1
                    return rule.mishap
        return None


@contextlib.contextmanager
def running_proxy(upstream: str) -> Generator[Proxy]:
    """Run a proxy in threads of this process."""
    proxy = Proxy(upstream.rstrip("/"))

    class Handler(_Handler):
        owner = proxy

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield proxy
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    owner: Proxy
    protocol_version = "HTTP/1.1"

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except ConnectionError:  # the client hung up, or the server behind is away
            self._hang_up()

    def _forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers, body)
        mishap = self.owner.mishap_of(request)
        refused = 503 if mishap == "busy" else self.owner.check(request)
        if refused is not None:
            self._answer(refused, [], b"", 0)
        elif mishap == "lose_request":
            self._hang_up()
        else:
            if mishap == "damage":
                middle = len(body) // 2
                body = body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]
            status, found, content = self._ask(body)
            if mishap == "lose_reply":
                self._hang_up()
            else:
                self._answer(status, found, content, len(content) // 2 if mishap == "cut" else None)

    def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        address = urlsplit(self.owner.upstream)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
        try:
            connection.putrequest(
                self.command, self.path, skip_host=True, skip_accept_encoding=True
            )
            host = self.owner.host(self.path)
            for name, value in self.headers.items():
                connection.putheader(name, host if host and name.lower() == "host" else value)
            connection.endheaders(body)
            reply = connection.getresponse()
            return reply.status, reply.getheaders(), reply.read()
        finally:
            connection.close()

    def _answer(
        self, status: int, headers: list[tuple[str, str]], content: bytes, cut: int | None
    ) -> None:
        self.send_response_only(status)
        skipped = {"transfer-encoding", "connection", "content-length"}
        length = len(content)
        for name, value in headers:
            if name.lower() not in skipped:
                self.send_header(name, value)
            elif name.lower() == "content-length" and self.command == "HEAD":
                length = int(value)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(content[:cut])
        if cut:
            self._hang_up()

    def _hang_up(self) -> None:
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base's name
        """Stay silent."""

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_PATCH = _forward  # noqa: N815
