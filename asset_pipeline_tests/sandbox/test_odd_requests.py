"""Odd requests are refused in the API's words, or taken as the API takes them: never a 500."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from asset_pipeline_tests.sandbox.conftest import KOKORO, SCHNELL, Running

PATH = f"/v1/models/{SCHNELL}/predictions"
_DEEP = "[" * 70 + "]" * 70


def _post(sandbox: Running, content: bytes | str, **headers: str) -> httpx.Response:
    sent = {"content-type": "application/json"}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    reply = sandbox.http.post(PATH, content=content, headers=sent)
    assert reply.status_code < 400 or reply.json()["status"] == reply.status_code
    return reply


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe{\x00}\x00",
        b'{"input": {"prompt": "\xff"}}',
        b'{"input": {"prompt": "x", "a": NaN}}',
        b'{"input": {"prompt": "x", "a": -Infinity}}',
        b'{"input": {"prompt": "x", "a": 1e400}}',
        b'{"input": {"prompt": "x", "seed": 1' + b"0" * 400 + b"}}",
        b'{"input": {"prompt": "x", "seed": 1' + b"0" * 5000 + b"}}",
        f'{{"input": {{"prompt": "x", "a": {_DEEP}}}}}',
        f'{{"input": {{"prompt": "x", "a": {"[" * 900}{"]" * 900}}}}}',
        "[" * 100_000,
        '{"input":' * 100_000,
    ],
)
def test_what_is_no_json_is_a_bad_request(instant: Running, content: bytes | str) -> None:
    """What cannot be read, or not be kept, is a 400; nothing is accepted."""
    before = instant.charges()["accepted"]
    assert _post(instant, content).status_code == 400
    assert instant.charges()["accepted"] == before


@pytest.mark.parametrize(
    "inputs",
    [
        '{"prompt": "half a pair \\ud800 and \\udfff"}',
        '{"prompt": "nul \\u0000 and bell \\u0007"}',
        '{"prompt": "x", "\\ud800": ["\\udfff", {"\\udc00": 1}]}',
        '{"prompt": "x", "width": 1e300, "height": -1e300, "megapixels_": "nan"}',
        '{"prompt": "x", "seed": 99999999999999999999999999}',
        '{"prompt": "x", "seed": -1}',
        '{"prompt": ""}',
        '{"prompt": "x", "prompt": "y"}',
    ],
)
def test_odd_inputs_are_kept(instant: Running, inputs: str) -> None:
    """What the API takes is taken, shown, listed and drawn, or said to have failed."""
    reply = _post(instant, f'{{"input": {inputs}}}')
    assert reply.status_code == 201
    made = instant.get(reply.json())
    assert instant.row(made)["id"] == made["id"]
    for url in made["output"] or []:
        assert instant.http.get(url).status_code in (200, 404)
    instant.charges()


@pytest.mark.parametrize("field", ["speed", "duration", "seed", "width", "megapixels", "voice"])
@pytest.mark.parametrize("value", ['"nan"', "1e308", "-1e308", "[]", '"inf:inf"', "{}"])
def test_unknown_inputs_break_no_model(instant: Running, field: str, value: str) -> None:
    """An input that a model does not know passes, and breaks nothing that reads it by name."""
    for path, text in (
        ("/v1/deployments/stability-ai/sdxl/predictions", "prompt"),
        (f"/v1/deployments/{KOKORO}/predictions", "text"),
    ):
        content = f'{{"input": {{"{text}": "x", "{field}": {value}, "aspect_ratio": "inf:inf"}}}}'
        reply = instant.http.post(
            path, content=content, headers={"content-type": "application/json"}
        )
        assert reply.status_code in (201, 422), reply.text
        if reply.status_code == 201:
            made = instant.get(reply.json())
            for url in (
                [made["output"]] if isinstance(made["output"], str) else made["output"] or []
            ):
                assert instant.http.get(url).status_code in (200, 404)


@pytest.mark.parametrize(
    "headers",
    [
        {"prefer": "wait=\xb2"},
        {"prefer": "wait=" + "9" * 5000},
        {"prefer": "wait=1e1"},
        {"prefer": "\xff"},
        {"cancel-after": "9" * 5000},
        {"cancel-after": "9" * 5000 + "h"},
        {"cancel-after": "\xb2s"},
        {"cancel-after": "nan"},
        {"cancel-after": ""},
        {"cancel-after": "-5s"},
    ],
)
def test_odd_headers_are_named(instant: Running, headers: dict[str, str]) -> None:
    """A header that cannot be read is a 422 that names it."""
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    body = {"input": {"prompt": "x", "megapixels": "0.25"}}
    reply = instant.http.post(PATH, json=body, headers=raw)
    assert reply.status_code == 422, reply.text
    assert reply.json()["invalid_fields"][0]["field"].lower() in headers


def test_bodies_have_limits(instant: Running) -> None:
    """A body over 32 MB is a 413, announced or not; one that is packed is a 415."""
    block = b" " * (1 << 20)

    def endless() -> Iterator[bytes]:
        for _ in range(40):
            yield block

    assert _post(instant, block * 33).status_code == 413
    headers = {"content-type": "application/json"}
    assert instant.http.post(PATH, content=endless(), headers=headers).status_code == 413
    assert _post(instant, b"x", content_encoding="gzip").status_code == 415


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/predictions", "GET, HEAD, POST"),
        ("DELETE", "/v1/predictions/abc", "GET, HEAD"),
        ("GET", "/v1/predictions/abc/cancel", "POST"),
        ("PATCH", "/v1/files/abc", "DELETE, GET, HEAD"),
        ("TRACE", "/sandbox/clock", "POST"),
        ("PROPFIND", "/sandbox/faults", "DELETE, GET, HEAD, POST"),
    ],
)
def test_other_methods_are_refused(instant: Running, method: str, path: str, allowed: str) -> None:
    """A method that a resource lacks is a 405 that names those it has."""
    reply = instant.http.request(method, path)
    assert reply.status_code == 405
    assert reply.headers["allow"] == allowed
    assert reply.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1",
        "/v1/predictions/",
        "/v1/predictions//cancel",
        "/v1/predictions/%00",
        "/v1/predictions/%ff%fe",
        "/v1/predictions/..%2f..%2fetc%2fpasswd",
        "/v1/files/..%2f..%2fsandbox.db/download",
        "/v1/" + "a" * 8000,
        "/delivery/%2e%2e/%2e%2e",
        "//v1/predictions",
    ],
)
def test_other_paths_are_not_found(instant: Running, path: str) -> None:
    """What no route serves is a 404, with no redirect that would repeat a create elsewhere."""
    reply = instant.http.send(instant.http.build_request("GET", instant.url + path))
    assert reply.status_code == 404
    assert reply.json()["title"] == "Not found"


@pytest.mark.parametrize(
    "cursor",
    [
        [1],
        {"created_us": "x", "seq": 1, "newer": False, "after_us": None, "before_us": None},
        {"created_us": 1 << 70, "seq": 1, "newer": False, "after_us": None, "before_us": None},
        {"created_us": [1], "seq": {}, "newer": 1, "after_us": None, "before_us": None},
        {"older_than": 1 << 70},
        {"older_than": True, "newer_than": "x"},
        None,
    ],
)
def test_forged_cursors_are_refused(instant: Running, cursor: Any) -> None:  # noqa: ANN401 -- any JSON
    """A cursor that this server has not made is a 422, on both lists."""
    forged = base64.urlsafe_b64encode(json.dumps(cursor).encode()).decode()
    for path in ("/v1/predictions", "/v1/files"):
        for value in (forged, forged[:-2], "\u20ac", "[" * 5000):
            assert instant.http.get(path, params={"cursor": value}).status_code == 422


@pytest.mark.parametrize("seconds", ["1e300", "NaN", "-1e18", "1" + "0" * 400, "true", '"5"', "{}"])
def test_the_clock_stays_in_the_calendar(instant: Running, seconds: str) -> None:
    """A time that no calendar has is refused, and the clock goes on."""
    reply = instant.http.post(
        "/sandbox/clock",
        content=f'{{"seconds": {seconds}}}',
        headers={"content-type": "application/json"},
    )
    assert reply.status_code in (400, 422)
    instant.create(megapixels="0.25")
