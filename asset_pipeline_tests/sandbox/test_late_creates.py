"""What comes later than anyone expects, is forgotten, or has another's id."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

import httpx
import pytest

from asset_pipeline_tests.sandbox.conftest import (
    INSTANT,
    SCHNELL,
    SMALL,
    STILL,
    Reply,
    Running,
    Start,
)

PATH = f"/v1/models/{SCHNELL}/predictions"
BODY = {"input": {"prompt": "A tea cup", **SMALL}}
_PATIENCE = 15.0


def _accepted(sandbox: Running) -> int:
    return sandbox.charges()["accepted"]


def _until(holds: Callable[[], bool]) -> bool:
    end = time.monotonic() + _PATIENCE
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def _came_in(sandbox: Running) -> bool:
    return sandbox.posts() >= 1


def test_a_create_is_accepted_after_the_client_has_given_up(start: Start) -> None:
    """Nothing is listed or billed at first; later it is, dated by the acceptance."""
    sandbox = start(INSTANT)
    sandbox.fault("late_acceptance", times=1, params={"seconds": 55})
    with pytest.raises(httpx.ReadTimeout):
        sandbox.http.post(PATH, json=BODY, timeout=0.5)
    assert _accepted(sandbox) == 0
    assert sandbox.listed() == []
    sandbox.advance(55)
    assert _until(lambda: _accepted(sandbox) == 1)
    (row,) = sandbox.listed()
    assert row["status"] == "succeeded"
    assert sandbox.charges()["total_micro_usd"] == 3000
    sandbox.create(**SMALL)
    assert _accepted(sandbox) == 2


def test_a_create_is_accepted_after_its_client_was_killed(start: Start) -> None:
    """A connection that is reset with the request sent changes nothing."""
    sandbox = start(INSTANT)
    sandbox.fault("late_acceptance", params={"seconds": 30})
    request = httpx.Request("POST", f"{sandbox.url}{PATH}", json=BODY)
    lines = [f"POST {PATH} HTTP/1.1", "Host: 127.0.0.1", "Authorization: Bearer r8_gone"]
    lines += [f"Content-Length: {len(request.content)}", "Content-Type: application/json", "", ""]
    with socket.create_connection(("127.0.0.1", httpx.URL(sandbox.url).port or 0)) as client:
        client.sendall("\r\n".join(lines).encode() + request.content)
        assert _until(lambda: _came_in(sandbox))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    time.sleep(0.3)
    assert _accepted(sandbox) == 0
    sandbox.advance(31)
    assert _until(lambda: _accepted(sandbox) == 1)


@pytest.mark.parametrize(
    ("params", "status"), [({"drop": True}, None), ({"status": 504}, 504), ({"status": 500}, 500)]
)
def test_a_late_acceptance_can_be_answered_early(
    start: Start, params: dict[str, object], status: int | None
) -> None:
    """The connection drops, or a gateway answers, and the create is accepted all the same."""
    sandbox = start(INSTANT)
    sandbox.fault("late_acceptance", times=1, params={"seconds": 40, "after": 0.2, **params})
    began = time.monotonic()
    if status is None:
        with pytest.raises(httpx.RemoteProtocolError):
            sandbox.http.post(PATH, json=BODY)
    else:
        assert sandbox.http.post(PATH, json=BODY).status_code == status
    assert 0.2 <= time.monotonic() - began < _PATIENCE
    assert _accepted(sandbox) == 0
    sandbox.advance(41)
    assert _until(lambda: _accepted(sandbox) == 1)


def test_a_client_that_waits_is_answered(start: Start) -> None:
    """Who has the patience gets the 201, and a webhook is posted for it as for any other."""
    sandbox = start(INSTANT)
    sandbox.fault("late_acceptance", params={"seconds": 20})
    answers: list[httpx.Response] = []
    thread = threading.Thread(target=lambda: answers.append(sandbox.http.post(PATH, json=BODY)))
    thread.start()
    assert _until(lambda: _came_in(sandbox))
    time.sleep(0.2)
    httpx.post(f"{sandbox.url}/sandbox/clock", json={"seconds": 21}, trust_env=False)
    thread.join(_PATIENCE)
    assert [answer.status_code for answer in answers] == [201]


def test_an_idle_server_stays_for_a_create_that_waits(start: Start) -> None:
    """The server does not end by itself while it holds a create."""
    sandbox = start(INSTANT, idle_seconds=0.5)
    sandbox.fault("late_acceptance", params={"seconds": 1.5, "drop": True})
    with pytest.raises(httpx.RemoteProtocolError):
        sandbox.http.post(PATH, json=BODY)
    time.sleep(1.8)
    assert _accepted(sandbox) == 1


@pytest.mark.parametrize(
    ("answer", "status", "content"),
    [
        ("not_found", 404, b"Not found"),
        ("forbidden", 403, b"AccessDenied"),
        ("error_5xx", 503, b"Service Unavailable"),
        ("html_page", 200, b"<!doctype html>"),
        ("empty", 200, None),
        ("truncated", 200, None),
    ],
)
def test_a_file_is_wrong_at_first_and_right_later(
    start: Start, answer: str, status: int, content: bytes | None
) -> None:
    """For so long after the end each fetch meets the same trouble; then the file is whole."""
    sandbox = start(INSTANT)
    sandbox.fault("late_file", params={"seconds": 60, "answer": answer})
    url = sandbox.create(**SMALL)["output"][0]
    early = [sandbox.http.get(url) for _ in range(2)]
    sandbox.advance(30)
    early.append(sandbox.http.get(url))
    assert {reply.status_code for reply in early} == {status}
    sandbox.advance(31)
    right = sandbox.http.get(url)
    assert right.status_code == 200
    for reply in early:
        if content is not None:
            assert content in reply.content
        else:
            assert right.content.startswith(reply.content)
            assert len(reply.content) < len(right.content)


def test_a_late_file_can_be_some_of_the_predictions(start: Start) -> None:
    """A share drawn once: a prediction's file is late at every fetch, or at none."""
    sandbox = start(INSTANT)
    sandbox.fault("late_file", match={"probability": 0.5}, params={"seconds": 60})
    urls = [sandbox.create(f"Cup {number}", **SMALL)["output"][0] for number in range(12)]
    seen = [{sandbox.http.get(url).status_code for _ in range(3)} for url in urls]
    assert sorted({code for codes in seen for code in codes}) == [200, 404]
    assert all(len(codes) == 1 for codes in seen)


def test_a_prediction_is_forgotten_for_a_while(start: Start) -> None:
    """From the tenth second on it is unknown, listed still, and known again later."""
    sandbox = start(STILL)
    sandbox.fault("forgotten", params={"after": 10, "lasting": 20})
    row = sandbox.create(**SMALL)

    def asked() -> int:
        return sandbox.http.get(f"/v1/predictions/{row['id']}").status_code

    assert asked() == 200
    sandbox.advance(11)
    assert (asked(), asked()) == (404, 404)
    assert sandbox.http.post(f"/v1/predictions/{row['id']}/cancel").status_code == 404
    assert [each["id"] for each in sandbox.listed()] == [row["id"]]
    sandbox.advance(20)
    assert asked() == 200


def test_a_prediction_is_forgotten_for_good_and_everywhere(start: Start) -> None:
    """The listing lacks it too, and the bill alone knows that it was made."""
    sandbox = start(INSTANT)
    sandbox.fault("forgotten", match={"prompt": "cup"}, params={"listed": False})
    row, other = sandbox.create("A cup", **SMALL), sandbox.create("A house", **SMALL)
    sandbox.advance(3000)
    assert sandbox.http.get(f"/v1/predictions/{row['id']}").status_code == 404
    assert [each["id"] for each in sandbox.listed()] == [other["id"]]
    assert [line["id"] for line in sandbox.charges()["charges"]] == [row["id"], other["id"]]


def test_a_listing_can_lag_behind(start: Start) -> None:
    """A prediction that GET knows is missing from listings for the first seconds."""
    sandbox = start(INSTANT)
    sandbox.fault("forgotten", match={"route": "list"}, params={"lasting": 30})
    row = sandbox.create(**SMALL)
    assert sandbox.listed() == []
    assert sandbox.get(row)["id"] == row["id"]
    sandbox.advance(31)
    assert [each["id"] for each in sandbox.listed()] == [row["id"]]


def test_two_creates_are_answered_with_one_id(start: Start) -> None:
    """Two rows are billed and listed under one id; the id is the earlier one's."""
    sandbox = start(INSTANT)
    first = sandbox.create("A cup", **SMALL)
    sandbox.fault("same_id", times=2)
    second, third = sandbox.create("A house", **SMALL), sandbox.create("A boat", **SMALL)
    assert second["id"] == third["id"] == first["id"]
    lines = sandbox.charges()["charges"]
    assert [line["id"] for line in lines] == [first["id"]] * 3
    assert len({line["number"] for line in lines}) == 3
    assert sandbox.charges()["total_micro_usd"] == 9000
    assert sandbox.get(first)["input"]["prompt"] == "A cup"
    assert [row["input"]["prompt"] for row in sandbox.listed()] == ["A boat", "A house", "A cup"]
    assert sandbox.http.get(second["output"][0]).status_code == 200


def test_the_first_create_of_an_account_keeps_its_id(start: Start) -> None:
    """Where there is no earlier prediction, there is no other id to answer with."""
    sandbox = start(INSTANT)
    sandbox.fault("same_id", times=1)
    made: Reply = sandbox.create(**SMALL)
    assert sandbox.get(made)["status"] == "succeeded"
