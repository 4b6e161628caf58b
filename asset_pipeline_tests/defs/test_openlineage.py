"""A run's lineage for other tools keeps to OpenLineage's schema, and holds no run up."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jsonschema_rs
import pytest

from asset_pipeline.defs.openlineage import send
from asset_pipeline_tests.service.conftest import Served, project, sandbox_url, served

__all__ = ["project", "sandbox_url", "served"]

_FACET = {
    "type": "object",
    "required": ["_producer", "_schemaURL"],
    "properties": {
        "_producer": {"type": "string", "format": "uri"},
        "_schemaURL": {"type": "string", "format": "uri"},
    },
}
_DATASETS = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["namespace", "name"],
        "properties": {
            "namespace": {"type": "string"},
            "name": {"type": "string"},
            "facets": {"type": "object", "additionalProperties": _FACET},
        },
    },
}
# What the specification, version 2-0-2, asks of a run event.
RUN_EVENT = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["eventTime", "producer", "schemaURL", "run", "job"],
    "properties": {
        "eventTime": {"type": "string", "format": "date-time"},
        "producer": {"type": "string", "format": "uri"},
        "schemaURL": {"type": "string", "format": "uri"},
        "eventType": {"enum": ["START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"]},
        "run": {
            "type": "object",
            "required": ["runId"],
            "properties": {"runId": {"type": "string", "format": "uuid"}},
        },
        "job": {
            "type": "object",
            "required": ["namespace", "name"],
            "properties": {"namespace": {"type": "string"}, "name": {"type": "string"}},
        },
        "inputs": _DATASETS,
        "outputs": _DATASETS,
    },
}


@pytest.fixture
def collected(monkeypatch: pytest.MonkeyPatch) -> Generator[list[Any]]:
    """A server that keeps the events it is sent."""
    found: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(201)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}/api/v1/lineage"
    monkeypatch.setenv("ASSET_PIPELINE_OPENLINEAGE_URL", url)
    yield found
    server.shutdown()


def test_a_run_sends_one_event(collected: list[Any], served: Served) -> None:
    """Its clips are outputs with their hashes, its prompts inputs."""
    text = "A red fox that nobody else may know of"
    served.order(kind="image", text=text, variants=2)
    assert [result.success for result in served.work()] == [True]
    deadline = time.monotonic() + 10
    while not collected and time.monotonic() < deadline:
        time.sleep(0.05)
    (event,) = collected
    jsonschema_rs.validator_for(RUN_EVENT, validate_formats=True).validate(event)
    assert event["eventType"] == "COMPLETE"
    assert (len(event["inputs"]), len(event["outputs"])) == (1, 2)
    clips = served.client.get("/api/v1/clips").json()["items"]
    versions = {each["facets"]["version"]["datasetVersion"] for each in event["outputs"]}
    assert versions == {clip["sha256"] for clip in clips}
    assert text not in json.dumps(event)


def test_nobody_there_is_told_and_no_more(caplog: pytest.LogCaptureFixture) -> None:
    """A collector that is gone costs a line, without its address."""
    send("http://name:secret@127.0.0.1:9/lineage", [{"eventType": "OTHER"}]).join(10)
    assert "was not taken" in caplog.text
    assert "secret" not in caplog.text
