"""Each fault as a client sees it."""

from __future__ import annotations

import io
import time

import httpx
import numpy as np
import pytest
import soundfile
from PIL import Image

from asset_pipeline_tests.sandbox.conftest import (
    INSTANT,
    KOKORO_VERSION,
    SCHNELL,
    SMALL,
    STILL,
    Reply,
    Running,
    Start,
)

PATH = f"/v1/models/{SCHNELL}/predictions"
BODY = {"input": {"prompt": "A tea cup", **SMALL}}


@pytest.fixture(name="sandbox")
def _sandbox(instant: Running) -> Running:
    instant.http.delete("/sandbox/faults")
    return instant


def _accepted(sandbox: Running) -> int:
    return sandbox.charges()["accepted"]


def _speech(sandbox: Running) -> Reply:
    body = {"version": KOKORO_VERSION, "input": {"text": "Hello there."}}
    return sandbox.http.post("/v1/predictions", json=body).json()


@pytest.mark.parametrize(("name", "accepted"), [("lost_reply_before", 0), ("lost_reply_after", 1)])
def test_lost_replies(sandbox: Running, name: str, accepted: int) -> None:
    """The connection drops without a reply; only the second kind was accepted, and is billed."""
    before = sandbox.charges()
    sandbox.fault(name, times=1)
    with pytest.raises(httpx.RemoteProtocolError):
        sandbox.http.post(PATH, json=BODY)
    after = sandbox.charges()
    assert after["accepted"] - before["accepted"] == accepted
    assert after["total_micro_usd"] - before["total_micro_usd"] == 3000 * accepted
    assert sandbox.http.post(PATH, json=BODY).status_code == 201


@pytest.mark.parametrize(
    ("name", "status", "accepted"),
    [("error_5xx_before", 500, 0), ("error_5xx_after", 500, 1), ("error_5xx_after", 502, 1)],
)
def test_server_errors(sandbox: Running, name: str, status: int, accepted: int) -> None:
    """A 5xx may or may not have been accepted, and a gateway's is not even JSON."""
    before = _accepted(sandbox)
    sandbox.fault(name, times=1, params={"status": status})
    reply = sandbox.http.post(PATH, json=BODY)
    assert reply.status_code == status
    assert reply.headers["content-type"].startswith("application" if status == 500 else "text/html")
    assert _accepted(sandbox) - before == accepted


@pytest.mark.parametrize("header", [True, False])
def test_rate_limited(sandbox: Running, header: bool) -> None:  # noqa: FBT001 -- both ways
    """429 in the documented words, with or without Retry-After."""
    sandbox.fault("rate_limited", times=1, params={"retry_after": 5, "header": header})
    reply = sandbox.http.post(PATH, json=BODY)
    assert reply.status_code == 429
    assert reply.json() == {
        "detail": "Request was throttled. Your rate limit for creating predictions is reduced to 6 "
        "requests per minute with a burst of 1 requests while you have less than $5.0 in credit. "
        "Your rate limit resets in ~5s.",
        "status": 429,
        "retry_after": 5,
    }
    assert ("retry-after" in reply.headers) is header


@pytest.mark.parametrize(
    ("name", "status"), [("insufficient_credit", 402), ("unauthenticated", 401)]
)
def test_account_refusals(sandbox: Running, name: str, status: int) -> None:
    """402 and 401 can strike a good token, and nothing is accepted."""
    before = _accepted(sandbox)
    sandbox.fault(name, times=1)
    assert sandbox.http.post(PATH, json=BODY).status_code == status
    assert _accepted(sandbox) == before


def test_outcomes(sandbox: Running) -> None:
    """Predictions fail with the given words, are canceled or aborted; failing is free."""
    for name in ("failed", "canceled", "aborted"):
        sandbox.fault(name, match={"prompt": f"[{name}]"}, params={"error": "NSFW (E005)"})
    failed, canceled, aborted = (
        sandbox.create(f"A cup [{name}]", **SMALL) for name in ("failed", "canceled", "aborted")
    )
    assert (failed["status"], failed["error"], failed["output"]) == ("failed", "NSFW (E005)", None)
    assert (canceled["status"], canceled["error"]) == ("canceled", None)
    assert aborted["status"] == "aborted"
    assert "started_at" not in aborted
    lines = {line["id"]: line["charge_micro_usd"] for line in sandbox.charges()["charges"]}
    assert [lines[row["id"]] for row in (failed, canceled, aborted)] == [0, 3000, 0]


def test_output_shapes(sandbox: Running) -> None:
    """A list can be shorter than asked for, and billed so; an output can have a wrong type."""
    sandbox.fault("short_list", match={"prompt": "short"}, params={"keep": 1})
    sandbox.fault("short_list", match={"prompt": "none"})
    sandbox.fault("wrong_output_type", match={"prompt": "odd"})
    short = sandbox.create("short", num_outputs=3, **SMALL)
    assert len(short["output"]) == short["metrics"]["image_output_count"] == 1
    nothing = sandbox.create("none", **SMALL)
    assert (nothing["status"], nothing["output"]) == ("succeeded", [])
    assert isinstance(sandbox.create("odd", **SMALL)["output"], dict)
    assert [line["charge_micro_usd"] for line in sandbox.charges()["charges"]][-3:] == [
        3000,
        0,
        3000,
    ]


@pytest.mark.parametrize("name", ["truncated", "empty", "html_page", "wrong_media", "blank"])
def test_spoilt_pictures(sandbox: Running, name: str) -> None:
    """The file comes with 200 and is none that anyone could use."""
    sandbox.fault(name, times=1)
    reply = sandbox.http.get(sandbox.create(**SMALL)["output"][0])
    assert reply.status_code == 200
    match name:
        case "truncated":
            with pytest.raises(OSError, match=r"."):
                Image.open(io.BytesIO(reply.content)).load()
        case "empty":
            assert reply.content == b""
        case "html_page":
            assert reply.headers["content-type"].startswith("text/html")
        case "wrong_media":
            assert reply.content.startswith(b"RIFF")
            assert reply.content[8:12] == b"WAVE"
        case _:
            image = Image.open(io.BytesIO(reply.content))
            assert image.size == (512, 512)
            assert all(low == high for low, high in image.getextrema())


@pytest.mark.parametrize("name", ["silent", "wrong_media"])
def test_spoilt_sounds(sandbox: Running, name: str) -> None:
    """Silence is a sound file without a sound; a picture is none at all."""
    sandbox.fault(name, times=1)
    content = sandbox.http.get(_speech(sandbox)["output"]).content
    if name == "silent":
        samples, _ = soundfile.read(io.BytesIO(content))
        assert len(samples) > 0
        assert not np.any(samples)
    else:
        assert content.startswith(b"\x89PNG")


def test_oversize(sandbox: Running) -> None:
    """A file goes on for as long as the rule says."""
    sandbox.fault("oversize", times=1, params={"bytes": 3_000_000})
    assert len(sandbox.http.get(sandbox.create(**SMALL)["output"][0]).content) == 3_000_000


def test_a_download_that_breaks_off(sandbox: Running) -> None:
    """The connection drops in the middle of a file; the next download is whole."""
    url = sandbox.create(**SMALL)["output"][0]
    sandbox.fault("truncated", match={"route": "file"}, times=1, params={"drop": True})
    with pytest.raises(httpx.RemoteProtocolError):
        sandbox.http.get(url)
    Image.open(io.BytesIO(sandbox.http.get(url).content)).load()


def test_expired_output(sandbox: Running) -> None:
    """The file is gone early, or the whole output is."""
    sandbox.fault("expired_output", match={"prompt": "file"})
    sandbox.fault("expired_output", match={"prompt": "data"}, params={"what": "data"})
    gone = sandbox.create("file", **SMALL)
    assert gone["status"] == "succeeded"
    assert sandbox.http.get(gone["output"][0]).status_code == 404
    removed = sandbox.create("data", **SMALL)
    assert (removed["output"], removed["data_removed"]) == (None, True)


def test_faults_of_reading(sandbox: Running) -> None:
    """A prediction can be unknown once, or the server in trouble for a while."""
    sandbox.fault("not_found_once", match={"prompt": "shy"})
    sandbox.fault("get_5xx", match={"prompt": "ill"}, times=2, params={"status": 500})
    shy, ill = sandbox.create("shy", **SMALL), sandbox.create("ill", **SMALL)

    def statuses(row: Reply) -> list[int]:
        return [sandbox.http.get(f"/v1/predictions/{row['id']}").status_code for _ in range(3)]

    assert statuses(shy) == [404, 200, 200]
    assert statuses(ill) == [500, 500, 200]


def test_lists_and_cancels_can_be_struck_too(sandbox: Running) -> None:
    """The routes that reconciliation depends on fail like any other."""
    sandbox.fault("lost_reply_before", match={"route": "list"}, times=1)
    sandbox.fault("lost_reply_after", match={"route": "cancel"}, times=1)
    row = sandbox.create(**SMALL)
    with pytest.raises(httpx.RemoteProtocolError):
        sandbox.http.get("/v1/predictions")
    with pytest.raises(httpx.RemoteProtocolError):
        sandbox.http.post(f"/v1/predictions/{row['id']}/cancel")
    assert sandbox.http.get("/v1/predictions").status_code == 200


def test_slow(start: Start) -> None:
    """A prediction runs longer, and a reply can be held back."""
    sandbox = start(STILL)
    sandbox.fault("slow", times=1, params={"seconds": 500})
    slow, usual = sandbox.create(**SMALL), sandbox.create(**SMALL)
    sandbox.advance(200)
    assert (sandbox.get(slow)["status"], sandbox.get(usual)["status"]) == (
        "processing",
        "succeeded",
    )
    sandbox.fault("slow", match={"route": "get"}, times=1, params={"seconds": 0.3})
    began = time.monotonic()
    sandbox.get(usual)
    assert time.monotonic() - began >= 0.3


@pytest.mark.parametrize("drop", [True, False])
def test_outage(start: Start, drop: bool) -> None:  # noqa: FBT001 -- both ways
    """From the third create on, everything is refused until the time is over."""
    sandbox = start(INSTANT)
    sandbox.fault("outage", match={"nth": 3}, params={"seconds": 30, "drop": drop})
    row = sandbox.create(**SMALL)
    sandbox.create(**SMALL)

    def refused(method: str, path: str) -> bool:
        try:
            return sandbox.http.request(method, path, json=BODY).status_code == 503
        except httpx.RemoteProtocolError:
            return drop

    assert refused("POST", PATH)
    assert refused("GET", f"/v1/predictions/{row['id']}")
    assert refused("GET", row["output"][0])
    assert _accepted(sandbox) == 2
    sandbox.advance(31)
    sandbox.create(**SMALL)
    assert sandbox.posts() == 4
