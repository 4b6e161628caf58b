"""Refusals, byte for byte as the API words them."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from replicate.exceptions import ReplicateError

from asset_pipeline_tests.sandbox.conftest import (
    INSTANT,
    KOKORO,
    KOKORO_VERSION,
    SCHNELL,
    SMALL,
    Running,
    Start,
)

PATH = f"/v1/models/{SCHNELL}/predictions"


def _post(sandbox: Running, path: str, body: object, token: str | None = "r8_x") -> httpx.Response:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return httpx.post(sandbox.url + path, json=body, headers=headers, trust_env=False)


@pytest.mark.parametrize("token", [None, "r8_wrong_1"])
def test_bad_tokens(instant: Running, token: str | None) -> None:
    """No token and a wrong one are both 401, and nothing is accepted."""
    before = instant.charges()["accepted"]
    reply = _post(instant, PATH, {"input": {"prompt": "x"}}, token)
    assert reply.status_code == 401
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json() == {
        "title": "Unauthenticated",
        "detail": "You did not pass a valid authentication token",
        "status": 401,
    }
    assert instant.charges()["accepted"] == before


def test_poor_token(instant: Running) -> None:
    """An account without credit gets 402 for a create and may still read."""
    reply = _post(instant, PATH, {"input": {"prompt": "x"}}, "r8_poor")
    assert reply.status_code == 402
    assert reply.json()["title"] == "Insufficient credit"
    assert reply.json()["detail"].startswith("You have insufficient credit to run this model. ")
    headers = {"Authorization": "Bearer r8_poor"}
    assert instant.http.get("/v1/predictions", headers=headers).status_code == 200


def test_missing_prompt(instant: Running) -> None:
    """A missing required input is the documented 422."""
    reply = _post(instant, PATH, {"input": {}})
    assert reply.status_code == 422
    assert json.loads(reply.content) == {
        "title": "Input validation failed",
        "status": 422,
        "detail": "- input: prompt is required\n",
        "invalid_fields": [
            {"type": "required", "field": "input", "description": "prompt is required"}
        ],
    }


@pytest.mark.parametrize(
    ("inputs", "kind", "field"),
    [
        ({"num_outputs": 9}, "number_lte", "input.num_outputs"),
        ({"num_outputs": 0}, "number_gte", "input.num_outputs"),
        ({"aspect_ratio": "7:7"}, "enum", "input.aspect_ratio"),
        ({"seed": "seven"}, "invalid_type", "input.seed"),
        ({"go_fast": 1}, "invalid_type", "input.go_fast"),
    ],
)
def test_bad_inputs(instant: Running, inputs: dict[str, Any], kind: str, field: str) -> None:
    """Type, bounds and choices are checked, and the field is named."""
    reply = _post(instant, PATH, {"input": {"prompt": "x", **inputs}})
    assert reply.status_code == 422
    found = reply.json()["invalid_fields"]
    assert [(issue["type"], issue["field"]) for issue in found] == [(kind, field)]


def test_bad_bodies(instant: Running) -> None:
    """Unknown body fields, a wrong type and no JSON at all are 422; unknown inputs pass."""
    extra = _post(instant, PATH, {"input": {"prompt": "x"}, "label": "mine"})
    assert extra.status_code == 422
    assert "label is not allowed" in extra.json()["detail"]
    assert _post(instant, PATH, {"input": "x"}).status_code == 422
    assert _post(instant, PATH, ["x"]).status_code == 422
    assert _post(instant, PATH, {"input": {"prompt": "x", "unheard_of": 1}}).status_code == 201


def test_unknown_things(instant: Running) -> None:
    """Unknown predictions and models are 404, and so is a community model's own route."""
    body = {"input": {"prompt": "x", "text": "x"}}
    for path in ("/v1/models/nobody/nothing/predictions", f"/v1/models/{KOKORO}/predictions"):
        assert _post(instant, path, body).status_code == 404
    with pytest.raises(ReplicateError) as caught:
        instant.client.predictions.get("nope")
    assert (caught.value.status, caught.value.title) == (404, "Not found")
    assert instant.http.get("/v1/nowhere").json()["status"] == 404
    unknown = _post(instant, "/v1/predictions", {"version": "0" * 64, **body})
    assert unknown.status_code == 422
    assert unknown.json()["title"] == "Invalid version or not permitted"


def test_too_long_text(instant: Running) -> None:
    """A text over the model's limit is refused."""
    body = {"input": {"text": "a" * 5001}}
    reply = _post(instant, "/v1/models/minimax/speech-02-turbo/predictions", body)
    assert reply.json()["invalid_fields"][0]["type"] == "string_lte"


def test_limit_of_creates(start: Start) -> None:
    """Creates over the limit get 429 with the seconds to wait; a minute later they pass."""
    sandbox = start(INSTANT, creates_per_minute=3)
    left = [
        sandbox.http.post(PATH, json={"input": {"prompt": "x", **SMALL}}).headers[
            "ratelimit-remaining"
        ]
        for _ in range(3)
    ]
    assert left == ["2", "1", "0"]
    refused = sandbox.http.post(PATH, json={"input": {"prompt": "x"}})
    assert refused.status_code == 429
    body = refused.json()
    assert set(body) == {"detail", "status", "retry_after"}
    assert body["detail"].startswith("Request was throttled. Your rate limit ")
    assert body["detail"].endswith(f"Your rate limit resets in ~{body['retry_after']}s.")
    assert refused.headers["retry-after"] == str(body["retry_after"])
    assert 1 <= int(refused.headers["ratelimit-reset"]) <= 60
    assert sandbox.http.get("/v1/predictions").status_code == 200
    assert (sandbox.posts(), sandbox.charges()["accepted"]) == (4, 3)
    sandbox.advance(61)
    assert sandbox.http.post(PATH, json={"input": {"prompt": "x"}}).status_code == 201


def test_limit_of_other_requests(start: Start) -> None:
    """Reading has a limit of its own, and every reply says what is left."""
    sandbox = start(INSTANT, requests_per_minute=2)
    sandbox.create(**SMALL)
    replies = [sandbox.http.get("/v1/account") for _ in range(3)]
    assert [reply.status_code for reply in replies] == [200, 200, 429]
    assert all("ratelimit-reset" in reply.headers for reply in replies)


def test_version_route_needs_a_version(instant: Running) -> None:
    """The general route names what is missing from its body."""
    reply = _post(instant, "/v1/predictions", {"input": {"text": "x"}})
    assert reply.json()["invalid_fields"][0]["description"] == "version is required"
    assert (
        _post(
            instant, "/v1/predictions", {"version": KOKORO_VERSION, "input": {"text": "x"}}
        ).status_code
        == 201
    )
