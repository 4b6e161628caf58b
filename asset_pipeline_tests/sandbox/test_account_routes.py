"""The small routes, with the real client."""

from __future__ import annotations

import base64
import hashlib
import io

import pytest

from asset_pipeline.sandbox import upload_routes
from asset_pipeline_tests.sandbox.conftest import KOKORO_VERSION, SCHNELL, STILL, Running, Start


def test_account_hardware_model_and_secret(instant: Running) -> None:
    """The client's own objects can be made of the replies."""
    assert instant.client.accounts.current().username == "sandbox"
    assert "gpu-l40s" in [hardware.sku for hardware in instant.client.hardware.list()]
    model = instant.client.models.get("jaaari/kokoro-82m")
    assert model.latest_version is not None
    assert model.latest_version.id == KOKORO_VERSION
    schema = instant.client.models.get(SCHNELL).latest_version
    assert schema is not None
    properties = schema.openapi_schema["components"]["schemas"]["Input"]["properties"]
    assert properties["num_outputs"]["maximum"] == 4
    secret = instant.client.webhooks.default.secret().key
    assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 24


def test_uploads(instant: Running) -> None:
    """A file comes back as it was sent, and can be the input of a model."""
    content = b"picture" * 1000
    uploaded = instant.client.files.create(io.BytesIO(content), filename="a.png")
    assert (uploaded.name, uploaded.size, uploaded.content_type) == ("a.png", 7000, "image/png")
    assert uploaded.checksums["sha256"] == hashlib.sha256(content).hexdigest()
    assert instant.client.files.get(uploaded.id).etag == uploaded.etag
    assert instant.http.get(uploaded.urls["get"] + "/download").content == content
    made = instant.create(model="black-forest-labs/flux-dev", image=uploaded.urls["get"])
    assert made["status"] == "succeeded"


def test_uploads_that_are_refused(instant: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too large a file is a 413, announced or not; a form without one is a 422."""
    monkeypatch.setattr(upload_routes, "UPLOAD_LIMIT", 1000)
    for size in (1001, 200_000):
        reply = instant.http.post("/v1/files", files={"content": ("a.bin", bytes(size))})
        assert reply.status_code == 413, size
    assert instant.http.post("/v1/files", files={"other": ("a.bin", b"x")}).status_code == 422
    assert instant.http.get("/v1/files/nope").status_code == 404


def test_uploads_live_for_a_day(start: Start) -> None:
    """An upload can be used for twenty-four hours."""
    sandbox = start(STILL)
    uploaded = sandbox.client.files.create(io.BytesIO(b"x"), filename="a.bin")
    sandbox.advance(24 * 3600 + 1)
    assert sandbox.http.get(uploaded.urls["get"]).status_code == 404


def test_requests_are_counted(start: Start) -> None:
    """Tests can see how many requests of each kind went over the wire."""
    sandbox = start(STILL)
    row = sandbox.create()
    sandbox.get(row)
    sandbox.get(row)
    sandbox.http.get("/sandbox/health")
    assert sandbox.http.get("/sandbox/requests").json() == {
        "POST /v1/models/{owner}/{name}/predictions": 1,
        "GET /v1/predictions/{id}": 2,
    }


def test_clock_wants_a_number(instant: Running) -> None:
    """The clock route refuses what is no number of seconds."""
    assert instant.http.post("/sandbox/clock", json={"seconds": "soon"}).status_code == 422
