"""`metrics`: printed for people and files, pushed to a gateway."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from asset_pipeline_tests.cli.conftest import Done

Cli = Callable[..., Done]


@pytest.fixture
def gateway() -> Generator[tuple[int, list[Any]]]:
    """A Pushgateway that lets one user in."""
    taken: list[Any] = []
    wanted = "Basic " + base64.b64encode(b"batch:pass word").decode()

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            allowed = self.headers.get("Authorization") == wanted
            if allowed:
                taken.append((self.path, body.decode()))
            self.send_response(200 if allowed else 401)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1], taken
    server.shutdown()


def test_they_are_printed(cli: Cli) -> None:
    """In Prometheus' text, or as OpenMetrics, also before the first run."""
    done = cli("metrics")
    assert done.code == 0, done.err
    assert "# TYPE asset_pipeline_open_intents gauge" in done.out
    assert cli("metrics", "--openmetrics").out.endswith("# EOF\n")


def test_they_are_pushed(cli: Cli, gateway: tuple[int, list[Any]]) -> None:
    """To the group of this machine; a password is not told when the gateway refuses it."""
    port, taken = gateway
    done = cli("metrics", "--push", f"http://batch:pass%20word@127.0.0.1:{port}/")
    assert (done.code, done.out) == (0, ""), done.err
    ((path, body),) = taken
    assert path.startswith("/metrics/job/asset_pipeline/instance/")
    assert "asset_pipeline_open_intents" in body
    refused = cli("metrics", "--push", f"http://batch:wrong-secret@127.0.0.1:{port}")
    assert refused.code == 2
    assert f"127.0.0.1:{port} does not take the metrics" in refused.err
    assert "wrong-secret" not in refused.err


@pytest.mark.parametrize(
    "address", ["host:9091", "ftp://host", "http://", "nonsense", "http://h:x"]
)
def test_what_is_no_address_is_told(cli: Cli, address: str) -> None:
    """Before anything is sent, and with what to write."""
    done = cli("metrics", "--push", address)
    assert done.code == 2
    assert "http://host:9091" in done.err
