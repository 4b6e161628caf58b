"""Metrics, liveness and readiness over HTTP."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from decimal import Decimal

import pytest

from asset_pipeline.monitoring.checkup import Checkup, State
from asset_pipeline.monitoring.installation import Check
from asset_pipeline.monitoring.readiness import BackgroundChecks
from asset_pipeline.settings import Settings, load_settings
from asset_pipeline_tests.monitoring.test_metrics import total
from asset_pipeline_tests.service.conftest import Place, Served


def test_metrics_tell_of_a_real_run(served: Served) -> None:
    """An order, a run, a clip: what it cost and how long it took are there at once."""
    served.order(kind="image", text="A red fox")
    assert total(served.client.get("/metrics").text, "submissions_waiting") == 1
    assert [result.success for result in served.work()] == [True]
    answer = served.client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    text = answer.text
    assert total(text, "generations_total") == 1
    assert total(text, "cost_usd_total") == Decimal("0.003")
    assert total(text, "submissions_waiting") == 0
    assert total(text, "delivery_seconds_count") == 1
    assert 'provider_request_seconds_count{operation="create",outcome="ok"} 1.0' in text
    assert 'store_request_seconds_count{operation="put",outcome="ok"}' in text
    assert 'heartbeat_age_seconds{name="submissions"}' in text
    assert "process_resident_memory_bytes" in text
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    assert served.client.get("/metrics", headers=accept).text.endswith("# EOF\n")


def test_metrics_tell_money_to_who_may_read(alone: Served) -> None:
    """As soon as there are keys, a scrape shows one; health needs none."""
    key = alone.key("read")
    assert alone.client.get("/metrics").status_code == 401
    allowed = alone.client.get("/metrics", headers={"Authorization": f"Bearer {key}"})
    assert allowed.status_code == 200
    assert alone.client.get("/healthz").status_code == 200
    assert alone.client.get("/readyz").status_code == 200


def test_a_new_service_is_ready(alone: Served) -> None:
    """Each part of the list says how it is; a daemon that is missing is told and not fatal."""
    answer = alone.client.get("/readyz")
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["status"], found["failing"], found["daemon"]) == ("ready", [], "not seen")
    parts = {each["part"] for each in found["checks"]}
    assert {"ledger", "ledger: writes", "store", "store: links", "disk", "memory"} <= parts
    assert {"clock", "daemon", "breakers", "signing key"} <= parts


def test_a_store_that_is_gone_is_told(alone: Served, place: Place) -> None:
    """A file where the store's folder should be: 503 and the reason, once it is looked at."""
    clips = place.root / "data" / "clips"
    monitoring = alone.client.app.state.monitoring  # type: ignore[attr-defined]
    alone.client.get("/readyz")
    if clips.is_dir():
        clips.rename(clips.with_name("elsewhere"))
    clips.write_text("no folder")
    store = next(each for each in monitoring.checks.checks if each.part == "store")
    alone.client.portal.call(monitoring.checks._look, store)  # type: ignore[union-attr]
    answer = alone.client.get("/readyz")
    assert (answer.status_code, answer.json()["failing"]) == (503, ["store"])


def test_it_drains(alone: Served) -> None:
    """Once it is to end, nobody should send requests; those that come are answered."""
    assert alone.client.get("/readyz").status_code == 200
    alone.client.app.state.context.stopping.set()  # type: ignore[attr-defined]
    answer = alone.client.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (503, "draining")
    assert alone.client.get("/healthz").status_code == 200


def test_a_check_that_hangs_holds_nothing_up(place: Place) -> None:
    """Its part fails after its own limit, the others are known at once, and it hangs only once."""
    del place
    looks: list[float] = []

    def hanging(_: Settings) -> Iterator[Checkup]:
        looks.append(time.monotonic())
        time.sleep(0.6)
        yield Checkup("slow", State.OK, "at last")

    def quick(_: Settings) -> Iterator[Checkup]:
        yield Checkup("quick", State.OK, "fine")

    def broken(_: Settings) -> Iterator[Checkup]:
        raise RuntimeError

    async def watch() -> tuple[list[str], list[str], int]:
        slow = Check("slow", hanging, every=0.01, limit=0.1, needed=True)
        others = (Check("quick", quick, every=0.01), Check("broken", broken, every=0.01))
        checks = BackgroundChecks(load_settings(), (slow, *others))
        checks.start()
        await checks.first()
        early = [f"{each.found.part} {each.found.state}" for each in checks.results()]
        await asyncio.sleep(0.3)
        failing, hung = checks.failing(), len(looks)
        await checks.aclose()
        return early, failing, hung

    early, failing, hung = asyncio.run(watch())
    assert early == ["slow fail", "quick ok", "broken fail"]
    assert (failing, hung) == (["slow"], 1)


def test_a_request_has_a_line_in_the_log(alone: Served, caplog: pytest.LogCaptureFixture) -> None:
    """Who asked, and how it ended, without the query; probes that are well have no line."""
    key = alone.key("read")
    with caplog.at_level(logging.INFO, "asset_pipeline.service.access"):
        headers = {"Authorization": f"Bearer {key}", "X-Request-Id": "request-12345"}
        alone.client.get("/api/v1/budgets?secret=1", headers=headers)
        alone.client.get("/healthz")
        alone.client.get("/metrics")
    first, refused = caplog.records
    given = {name: first.__dict__[name] for name in ("method", "path", "status", "key_id")}
    assert given == {
        "method": "GET",
        "path": "/api/v1/budgets",
        "status": 200,
        "key_id": key.split("_")[1],
    }
    assert (refused.__dict__["path"], refused.__dict__["status"]) == ("/metrics", 401)
    assert "secret" not in str([record.__dict__ for record in caplog.records])
