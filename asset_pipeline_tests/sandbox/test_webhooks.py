"""What a receiver on this machine is posted, and when it is not."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Empty, Queue
from typing import Any

import pytest
from replicate.webhook import Webhooks, WebhookSigningSecret

from asset_pipeline_tests.sandbox.conftest import INSTANT, SCHNELL, SMALL, STILL, Running, Start

_PATIENCE = 30.0


@dataclass
class Receiver:
    """A server that keeps what it is sent."""

    url: str
    got: Queue[tuple[dict[str, str], bytes]] = field(default_factory=Queue)
    refusals: list[int] = field(default_factory=list)

    def next(self) -> tuple[dict[str, str], dict[str, Any]]:
        headers, body = self.got.get(timeout=_PATIENCE)
        return headers, json.loads(body)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            found.got.put(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(found.refusals.pop(0) if found.refusals else 200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield found
    server.shutdown()
    server.server_close()


def _create(sandbox: Running, url: str, prompt: str = "A cup", **more: object) -> dict[str, Any]:
    body = {"input": {"prompt": prompt, **SMALL}, "webhook": url, **more}
    reply = sandbox.http.post(f"/v1/models/{SCHNELL}/predictions", json=body)
    assert reply.status_code == 201, reply.text
    return reply.json()


def test_a_post_is_signed_as_replicate_signs(start: Start, receiver: Receiver) -> None:
    """Replicate's own client accepts the signature; the query of the address is kept."""
    sandbox = start(INSTANT)
    made = _create(sandbox, f"{receiver.url}?intent=42", webhook_events_filter=["completed"])
    headers, body = receiver.got.get(timeout=_PATIENCE)
    secret = WebhookSigningSecret(key=sandbox.client.webhooks.default.secret().key)
    assert (
        Webhooks.validate(headers=headers, body=body.decode(), secret=secret, tolerance=None)
        is None
    )
    document = json.loads(body)
    assert document["id"] == made["id"]
    assert document["status"] == "succeeded"
    assert document["urls"]["get"] == made["urls"]["get"]
    assert headers["content-type"] == "application/json"


def test_events_come_in_order_at_their_moments(start: Start, receiver: Receiver) -> None:
    """Nothing before it starts; the last post says how it ended."""
    sandbox = start(STILL)
    _create(sandbox, receiver.url, webhook_events_filter=["start", "logs", "output", "completed"])
    with pytest.raises(Empty):
        receiver.got.get(timeout=0.3)
    sandbox.advance(11)
    assert [receiver.next()[1]["status"] for _ in range(2)] == ["processing", "processing"]
    sandbox.advance(200)
    last = [receiver.next() for _ in range(2)]
    assert [body["status"] for _, body in last] == ["succeeded", "succeeded"]
    assert [headers["webhook-id"].rpartition("_")[2] for headers, _ in last] == [
        "output",
        "completed",
    ]


def test_without_a_filter_output_and_end_are_posted(start: Start, receiver: Receiver) -> None:
    """As on Replicate: whenever there is output, and at the end; one that failed has no output."""
    sandbox = start(INSTANT)
    sandbox.fault("failed", match={"prompt": "house"})
    _create(sandbox, receiver.url)
    assert [receiver.next()[1]["status"] for _ in range(2)] == ["succeeded", "succeeded"]
    _create(sandbox, receiver.url, "A house")
    assert receiver.next()[1]["status"] == "failed"


def test_only_the_end_is_posted_again(start: Start, receiver: Receiver) -> None:
    """A receiver that was down gets the terminal event again, under the same id."""
    sandbox = start(INSTANT)
    receiver.refusals[:] = [500, 500]
    _create(sandbox, receiver.url, webhook_events_filter=["start", "completed"])
    ids = [receiver.next()[0]["webhook-id"] for _ in range(3)]
    assert ids[0].endswith("_start")
    assert ids[1] == ids[2]
    assert ids[1].endswith("_completed")


def test_a_webhook_can_be_absent(start: Start, receiver: Receiver) -> None:
    """The fault: the prediction ends well and nobody is told."""
    sandbox = start(INSTANT)
    sandbox.fault("webhook_absent", match={"prompt": "cup"})
    quiet = _create(sandbox, receiver.url, "A cup")
    _create(sandbox, receiver.url, "A house", webhook_events_filter=["completed"])
    assert receiver.next()[1]["input"]["prompt"] == "A house"
    assert receiver.got.empty()
    assert sandbox.get(quiet)["status"] == "succeeded"


def test_what_was_not_posted_survives_a_restart(start: Start, receiver: Receiver) -> None:
    """The next server on the same state posts what the last one did not get to."""
    sandbox = start(STILL)
    made = _create(sandbox, receiver.url, webhook_events_filter=["completed"])
    sandbox.stop()
    again = start(STILL, state_dir=sandbox.state_dir)
    again.advance(200)
    assert receiver.next()[1]["id"] == made["id"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("webhook", "https://example.com/hook"),
        ("webhook", "http://10.0.0.1/hook"),
        ("webhook", "ftp://127.0.0.1/hook"),
        ("webhook", "http://127.0.0.1.example.com/"),
        ("webhook", "no address"),
        ("webhook_events_filter", ["finished"]),
    ],
)
def test_bad_webhooks_are_refused(instant: Running, field: str, value: object) -> None:
    """An address off this machine and an unknown event are a 422, and nothing is accepted."""
    instant.http.delete("/sandbox/faults")
    before = instant.charges()["accepted"]
    body = {"input": {"prompt": "A cup", **SMALL}, field: value}
    reply = instant.http.post(f"/v1/models/{SCHNELL}/predictions", json=body)
    assert reply.status_code == 422
    assert reply.json()["invalid_fields"][0]["field"].startswith(field)
    assert instant.charges()["accepted"] == before
