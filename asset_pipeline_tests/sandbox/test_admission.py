"""Whose requests are let in: no page of another site moves the clock, or reads the bill."""

from __future__ import annotations

import httpx
import pytest

from asset_pipeline_tests.sandbox.conftest import INSTANT, SCHNELL, Running, Start

CONTROLS = [
    ("POST", "/sandbox/clock", {"seconds": 5}),
    ("POST", "/sandbox/faults", {"faults": [{"fault": "failed"}]}),
    ("DELETE", "/sandbox/faults", None),
    ("GET", "/sandbox/charges", None),
    ("GET", "/sandbox/faults", None),
    ("GET", "/sandbox/health", None),
    ("GET", "/sandbox/requests", None),
    ("POST", f"/v1/models/{SCHNELL}/predictions", {"input": {"prompt": "x"}}),
    ("POST", "/v1/predictions/abc/cancel", None),
    ("DELETE", "/v1/files/abc", None),
    ("OPTIONS", "/v1/predictions", None),
]


def _ask(
    sandbox: Running, method: str, path: str, body: object = None, **headers: str
) -> httpx.Response:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return sandbox.http.request(method, path, json=body, headers=sent)


def _unchanged(sandbox: Running) -> tuple[object, ...]:
    faults = sandbox.http.get("/sandbox/faults").json()
    return faults, sandbox.charges()["accepted"], sandbox.state_dir.stat().st_ino


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "127.0.0.1", "127.1.2.3", "[::1]:9"])
def test_loopback_names_are_served(instant: Running, host: str) -> None:
    """Every name and address of loopback is this machine, whatever port was forwarded."""
    assert _ask(instant, "GET", "/v1/account", host=host).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8099",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "localhost@evil.example",
        "192.0.2.1",
        "[2001:db8::1]",
        "2130706433",
        "0x7f.1",
        "127.0.0.1:port",
        "127.0.0.1, evil.example",
        "\xb2",
        "",
    ],
)
@pytest.mark.parametrize("path", ["/v1/account", "/sandbox/health", "/", "/openapi.json"])
def test_other_names_are_misdirected(instant: Running, host: str, path: str) -> None:
    """A name that somebody else can let point here is refused on every route."""
    reply = instant.http.get(path, headers=[(b"Host", host.encode("latin-1"))])
    assert reply.status_code == 421
    assert reply.headers["content-type"] == "application/problem+json"
    assert "date" in reply.headers


@pytest.mark.parametrize(("method", "path", "body"), CONTROLS)
@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:3000"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "cross-site", "origin": "http://127.0.0.1"},
    ],
)
def test_pages_of_other_sites_are_refused(
    instant: Running, method: str, path: str, body: object, headers: dict[str, str]
) -> None:
    """A browser says where a request comes from; one of another page changes and reads nothing."""
    before = _unchanged(instant)
    reply = _ask(instant, method, path, body, **headers)
    assert reply.status_code == 403
    assert reply.json()["status"] == 403
    assert "access-control-allow-origin" not in reply.headers
    assert _unchanged(instant) == before


def test_own_pages_and_programs_are_let_in(start: Start) -> None:
    """What the browser calls same-origin, or its user's own, passes, and so does a program."""
    sandbox = start(INSTANT)
    for headers in (
        {"origin": sandbox.url, "sec_fetch_site": "same-origin"},
        {"sec_fetch_site": "none"},
        {},
    ):
        assert _ask(sandbox, "DELETE", "/sandbox/faults", **headers).status_code == 204
        assert _ask(sandbox, "GET", "/sandbox/charges", **headers).status_code == 200


@pytest.mark.parametrize(("method", "path", "body"), [case for case in CONTROLS if case[2]])
@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "", "application/json; charset=x"]
)
def test_forms_are_no_json(
    instant: Running, method: str, path: str, body: object, kind: str
) -> None:
    """What a page's form can send without asking is not taken for JSON, whatever it says."""
    content = httpx.Request(method, "http://x", json=body).content
    headers = {"content-type": kind}
    reply = instant.http.request(method, path, content=content, headers=headers)
    assert reply.status_code == 415
    assert reply.json()["title"] == "Unsupported media type"


def test_the_bound_address_is_served(start: Start) -> None:
    """A server on all addresses answers to the address in its own record, and to no other's."""
    sandbox = start(INSTANT, host="0.0.0.0")
    port = httpx.URL(sandbox.url).port
    assert sandbox.url == f"http://0.0.0.0:{port}"
    for host in (f"0.0.0.0:{port}", f"127.0.0.1:{port}", "localhost"):
        assert _ask(sandbox, "GET", "/v1/account", host=host).status_code == 200
    assert _ask(sandbox, "GET", "/v1/account", host="198.51.100.7").status_code == 421
