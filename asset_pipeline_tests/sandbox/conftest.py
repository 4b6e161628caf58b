"""Servers on free ports, in threads of this process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import replicate

from asset_pipeline.sandbox.options import SandboxOptions
from asset_pipeline.sandbox.server import SandboxServer

INSTANT: dict[str, Any] = {
    "predict_seconds": (0.0, 0.0),
    "start_seconds": 0.0,
    "creates_per_minute": 0,
    "requests_per_minute": 0,
}
# Ten seconds of waiting, a hundred of running: nothing moves but by the clock route.
STILL: dict[str, Any] = {**INSTANT, "predict_seconds": (100.0, 100.0), "start_seconds": 10.0}

SCHNELL = "black-forest-labs/flux-schnell"
PRO = "black-forest-labs/flux-1.1-pro"
KOKORO = "jaaari/kokoro-82m"
KOKORO_VERSION = "f559560eb822dc509045f3921a1921234918b91739db4bf3daab2169b71c7a13"
MUSICGEN_VERSION = "671ac645ce5e552cc63a54a2bbff63fcf798043055d2dac5fc9e36a837eedcfb"
SMALL = {"megapixels": "0.25"}


Reply = dict[str, Any]


class Running:
    """A server and two clients of it."""

    def __init__(self, state_dir: Path, options: SandboxOptions, host: str = "127.0.0.1") -> None:
        self.state_dir = state_dir
        self.server = SandboxServer(host, 0, state_dir, options)
        self.url = self.server.url
        self._thread = threading.Thread(target=self.server.run, daemon=True)
        self._thread.start()
        self.http = httpx.Client(
            base_url=self.url,
            headers={"Authorization": "Bearer r8_test"},
            timeout=60,
            trust_env=False,
        )
        self.client = replicate.Client("r8_test", base_url=self.url)

    def stop(self) -> None:
        """Stop it and wait until it has."""
        self.http.close()
        self.server.stop()
        self._thread.join(10)

    def create(self, prompt: str = "A tea cup", model: str = SCHNELL, **inputs: object) -> Reply:
        """Create a prediction, returning its JSON."""
        body = {"input": {"prompt": prompt, **inputs}}
        reply = self.http.post(f"/v1/models/{model}/predictions", json=body)
        assert reply.status_code == 201, reply.text
        return reply.json()

    def get(self, prediction: Reply) -> Reply:
        """Return a prediction's JSON as it is now."""
        reply = self.http.get(f"/v1/predictions/{prediction['id']}")
        assert reply.status_code == 200, reply.text
        return reply.json()

    def listed(self, token: str = "r8_test", **query: str) -> list[Reply]:
        """Return a page of the listing as an account sees it."""
        headers = {"Authorization": f"Bearer {token}"}
        reply = self.http.get("/v1/predictions", params=query, headers=headers)
        assert reply.status_code == 200, reply.text
        return reply.json()["results"]

    def row(self, prediction: Reply) -> Reply:
        """Return a prediction as the listing shows it."""
        return next(row for row in self.listed() if row["id"] == prediction["id"])

    def advance(self, seconds: float) -> None:
        """Set the server's clock ahead."""
        assert self.http.post("/sandbox/clock", json={"seconds": seconds}).status_code == 200

    def charges(self) -> Reply:
        """Return the bill."""
        return self.http.get("/sandbox/charges").json()

    def posts(self) -> int:
        """Return how many creates came in over the wire."""
        counts = self.http.get("/sandbox/requests").json()
        return sum(
            n
            for route, n in counts.items()
            if route.endswith("/predictions") and route.startswith("POST")
        )

    def fault(self, name: str, **rule: object) -> None:
        """Add a fault rule."""
        reply = self.http.post("/sandbox/faults", json={"faults": [{"fault": name, **rule}]})
        assert reply.status_code == 201, reply.text


Start = Callable[..., Running]


@pytest.fixture(name="start")
def _start(tmp_path: Path) -> Iterator[Start]:
    """Start servers that end with the test: ``start(STILL, creates_per_minute=3)``."""
    with ExitStack() as stack:

        def begin(
            base: dict[str, Any],
            *,
            state_dir: Path | None = None,
            host: str = "127.0.0.1",
            **more: object,
        ) -> Running:
            options = SandboxOptions(**{**base, **more})
            running = Running(state_dir or tmp_path / "sandbox", options, host)
            stack.callback(running.stop)
            return running

        yield begin


@pytest.fixture(name="instant", scope="package")
def _instant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One server without any latency or limit, shared by tests that only add predictions."""
    running = Running(tmp_path_factory.mktemp("instant"), SandboxOptions(**INSTANT))
    yield running
    running.stop()
