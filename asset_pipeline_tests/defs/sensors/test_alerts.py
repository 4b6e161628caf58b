"""A failed run is told once, to the right address, with what a person needs, and in no log."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import dagster as dg
import pytest
from pydantic import SecretStr

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.defs.resources.ledger import LedgerResource
from asset_pipeline.defs.sensors.alert_outbox import AlertOutbox
from asset_pipeline.defs.sensors.alert_text import Alert, FailedClass
from asset_pipeline.defs.sensors.alerts import build_alert_sensor
from asset_pipeline.logs.setup import stop_logging
from asset_pipeline.money import MicroUsd
from asset_pipeline_tests.support.project import Project

PATH = "/services/T0000/B0000/kJ8fLq2mZx7wPn4v"


@dataclass
class Channel:
    """A chat service on this machine."""

    url: str = ""
    got: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    answers: list[tuple[int, dict[str, str]]] = field(
        default_factory=list[tuple[int, dict[str, str]]]
    )


@pytest.fixture
def channel() -> Iterator[Channel]:
    found = Channel()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            assert self.path == PATH
            found.got.append(json.loads(body))
            status, headers = found.answers.pop(0) if found.answers else (200, {})
            self.send_response(status)
            for name, value in {"content-length": "0", **headers}.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_address[1]}{PATH}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield found
    server.shutdown()
    server.server_close()
    stop_logging()


def _alert(**more: Any) -> Alert:  # noqa: ANN401 -- fields of the dataclass
    values: dict[str, Any] = {
        "job": "image_clips",
        "run_id": "r-1",
        "failed": [],
        "error": "it broke",
    }
    return Alert(**{**values, **more})


def test_an_alert_leads_to_the_desk() -> None:
    """Where there is one, people see what failed there and try it again."""
    link = "https://desk.example/#failures"
    payload = _alert(desk=link).payload()
    assert payload["desk"] == link
    assert f"Review desk: {link}" in str(payload["text"])
    assert "desk" not in _alert().payload()


def _send(channel: Channel, alert: Alert) -> list[float]:
    waited: list[float] = []
    outbox = AlertOutbox(waited.append)
    assert outbox.put(SecretStr(channel.url), alert.payload(), alert.run_id)
    outbox.join()
    return waited


def test_an_alert_says_what_a_person_needs() -> None:
    """Job, failed prompts by class, money, what to do next and where to look; safe for Slack."""
    alert = _alert(
        failed=[
            FailedClass("content_policy", 7, ["a", "b", "c", "d", "e", "f"], "Change <it>."),
            FailedClass("timeout", 1, ["z"], "Retry."),
        ],
        paid=MicroUsd(12_000),
        held=MicroUsd(3_000),
        unsettled=1,
    )
    text = alert.text()
    assert text.splitlines()[:4] == [
        "*image_clips* failed: 8 prompts did not land.",
        "• content_policy, 7: a, b, c, d, e and 2 more. Change &lt;it&gt;.",
        "• timeout, 1: z. Retry.",
        "Paid in this run: $0.012. Held for 1 prediction not settled yet: $0.003.",
    ]
    assert "generate --failed" in text
    assert text.endswith("Run: /runs/r-1")
    document = json.loads(json.dumps(alert.payload()))
    assert document["text"] == text
    assert document["failed"][0]["count"] == 7
    assert document["paid_usd"] == "0.012000"


def test_a_run_that_broke_says_why() -> None:
    """Without failed prompts the error is the message."""
    text = _alert().text()
    assert text.startswith("*image_clips* failed: it broke.\n")
    assert "not known" in text


def test_it_is_tried_again_until_it_is_taken(channel: Channel) -> None:
    """A service that is down or busy for a moment gets the alert later, when it says."""
    channel.answers = [(503, {}), (429, {"retry-after": "7"})]
    assert _send(channel, _alert()) == [1.0, 7.0]
    assert len(channel.got) == 3


def test_trying_ends(channel: Channel, caplog: pytest.LogCaptureFixture) -> None:
    """Four tries and no more; what is wrong for good is not tried again; no address is logged."""
    channel.answers = [(500, {})] * 9
    assert _send(channel, _alert()) == [1.0, 5.0, 20.0]
    assert len(channel.got) == 4
    channel.answers = [(404, {})]
    assert _send(channel, _alert()) == []
    channel.url = "http://127.0.0.1:1" + PATH
    assert _send(channel, _alert()) == [1.0, 5.0, 20.0]
    assert "HTTP 500" in caplog.text
    assert "HTTP 404" in caplog.text
    assert "ConnectError" in caplog.text
    assert "kJ8fLq2mZx7wPn4v" not in caplog.text


def test_nobody_waits_for_a_silent_service() -> None:
    """Alerts are taken at once while the first is still being tried, up to a bound."""
    held = threading.Event()
    outbox = AlertOutbox(lambda _: held.wait(30) and None)
    url, payload = SecretStr("http://127.0.0.1:1/x"), _alert().payload()
    taken = [outbox.put(url, payload, "r") for _ in range(200)]
    assert taken[:100] == [True] * 100
    assert not taken[-1]
    held.set()


def _failed_run(project: Project) -> dg.ExecuteInProcessResult:
    project.write(Kind.IMAGE, {"id": "bad", "text": "A [bad] cup"}, {"id": "good", "text": "A cup"})
    project.sync()
    project.fault({"fault": "failed", "match": {"prompt": "[bad]"}, "params": {"code": "NSFW"}})
    result = project.run(Kind.IMAGE, "bad", "good")
    assert not result.success
    return result


def _tick(
    project: Project, result: dg.ExecuteInProcessResult, outbox: AlertOutbox
) -> dg.SkipReason | None:
    run = project.instance.get_run_by_id(result.run_id)
    assert run is not None
    context = dg.build_run_status_sensor_context(
        sensor_name="alerts",
        dagster_event=next(event for event in result.all_events if event.is_job_failure),
        dagster_instance=project.instance,
        dagster_run=run,
    ).for_run_failure()
    found = build_alert_sensor(outbox)(context, ledger=LedgerResource())
    assert found is None or isinstance(found, dg.SkipReason)
    return found


def test_a_real_failure_is_told(
    project: Project,
    channel: Channel,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Failed prompts, their class and the money of a real batch arrive; the address is secret."""
    result = _failed_run(project)
    monkeypatch.setenv("ASSET_PIPELINE_ALERT_WEBHOOK_URL", channel.url)
    outbox = AlertOutbox(lambda _: None)
    with caplog.at_level(logging.DEBUG):
        assert _tick(project, result, outbox) is None
        outbox.join()
    (told,) = channel.got
    (failed,) = told["failed"]
    assert failed["error_class"] == "content_policy"
    assert failed["prompts"] == ["bad"]
    assert told["job"] == "image_clips"
    assert told["paid_usd"] == "0.003000"
    assert told["link"] == f"/runs/{result.run_id}"
    log = (project.root / "data" / "logs" / "asset-pipeline.jsonl").read_text()
    assert "alert sent" in log
    assert "kJ8fLq2mZx7wPn4v" not in log + caplog.text


def test_off_without_an_address_and_for_what_is_repeated(
    project: Project, channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No variable, a wrong one, or a run that the daemon repeats: nothing is sent."""
    result = _failed_run(project)
    outbox = AlertOutbox(lambda _: None)
    for url, said in ((None, "not set"), ("ftp://x/y", "no http"), (channel.url, "again")):
        if url is not None:
            monkeypatch.setenv("ASSET_PIPELINE_ALERT_WEBHOOK_URL", url)
        if url == channel.url:
            project.instance.add_run_tags(result.run_id, {"dagster/will_retry": "true"})
        found = _tick(project, result, outbox)
        assert found is not None
        assert said in (found.skip_message or "")
    assert channel.got == []
