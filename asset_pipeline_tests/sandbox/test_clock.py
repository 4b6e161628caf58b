"""A server whose clock is off, as clients see it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from asset_pipeline_tests.sandbox.conftest import INSTANT, SMALL, STILL, Reply, Running, Start

TOLERANCE = 5.0


def _off(moment: str | datetime) -> float:
    """Seconds that a moment is ahead of this machine's clock."""
    seen = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return (seen - datetime.now(UTC)).total_seconds()


def _date(sandbox: Running) -> datetime:
    return parsedate_to_datetime(sandbox.http.get("/v1/account").headers["date"])


@pytest.mark.parametrize("skew", [-120.0, 0.0, 90.0])
def test_all_times_and_the_date_header_are_off_alike(start: Start, skew: float) -> None:
    """Date, created_at, started_at and completed_at tell one clock; metrics tell durations."""
    sandbox = start(INSTANT, clock_skew_seconds=skew, start_seconds=1.0)
    row = sandbox.create(**SMALL)
    sandbox.advance(1)
    ended = sandbox.get(row)
    assert _off(_date(sandbox)) == pytest.approx(skew + 1, abs=TOLERANCE)
    assert _off(ended["created_at"]) == pytest.approx(skew, abs=TOLERANCE)
    for name in ("started_at", "completed_at"):
        assert _off(ended[name]) == pytest.approx(skew + 1, abs=TOLERANCE)
    assert ended["metrics"]["total_time"] == 1
    dates = sandbox.http.get("/v1/account").headers.get_list("date")
    assert len(dates) == 1


def test_created_at_alone_can_be_off(start: Start) -> None:
    """The Date header and the end are right, created_at is not."""
    sandbox = start(INSTANT)
    sandbox.http.post("/sandbox/faults", json={"clock": {"created_at_seconds": -300}})
    row = sandbox.create(**SMALL)
    assert _off(row["created_at"]) == pytest.approx(-300, abs=TOLERANCE)
    assert _off(row["completed_at"]) == pytest.approx(0, abs=TOLERANCE)
    assert _off(_date(sandbox)) == pytest.approx(0, abs=TOLERANCE)
    assert row["metrics"]["total_time"] == 0
    assert sandbox.row(row)["created_at"] == row["created_at"]


def test_the_filter_goes_by_the_clock_that_is_shown(start: Start) -> None:
    """A question by a clock that is right misses what a clock behind dates before it."""
    sandbox = start(INSTANT, clock_skew_seconds=-90.0)
    row = sandbox.create(**SMALL)
    now = datetime.now(UTC)
    ours = (now - timedelta(seconds=30)).isoformat()
    theirs = (now - timedelta(seconds=120)).isoformat()
    assert sandbox.listed(created_after=ours) == []
    assert [each["id"] for each in sandbox.listed(created_after=theirs)] == [row["id"]]
    assert [each["id"] for each in sandbox.listed(created_before=ours)] == [row["id"]]


def test_a_clock_that_is_set_moves_nothing_that_was(start: Start) -> None:
    """What was created keeps its times and its life; what comes after has the new clock's."""
    sandbox = start(STILL, clock_skew_seconds=120.0)
    before = sandbox.create(**SMALL)
    sandbox.http.post("/sandbox/faults", json={"clock": {"skew_seconds": -120}})
    after = sandbox.create(**SMALL)
    assert sandbox.get(before)["created_at"] == before["created_at"]
    assert _off(after["created_at"]) == pytest.approx(-120, abs=TOLERANCE)
    sandbox.advance(50)
    assert [sandbox.get(row)["status"] for row in (before, after)] == ["processing", "processing"]
    sandbox.advance(100)
    ended = [sandbox.get(row) for row in (before, after)]
    assert [row["status"] for row in ended] == ["succeeded", "succeeded"]
    assert [row["metrics"]["total_time"] for row in ended] == [110, 110]


def test_the_hour_of_retention_passes_on_the_clock_that_is_shown(start: Start) -> None:
    """An hour after the completed_at that is shown, by the Date that is shown, all is gone."""
    sandbox = start(INSTANT, clock_skew_seconds=-120.0)
    row = sandbox.create(**SMALL)
    completed = datetime.fromisoformat(row["completed_at"])
    sandbox.advance(3590)
    assert (_date(sandbox) - completed).total_seconds() < 3600
    assert sandbox.get(row)["data_removed"] is False
    sandbox.advance(15)
    assert (_date(sandbox) - completed).total_seconds() >= 3600
    assert sandbox.get(row)["data_removed"] is True


def test_the_plan_sets_the_clock_and_clearing_it_sets_it_right(
    start: Start, tmp_path: Path
) -> None:
    """A plan's file carries the clock; the route shows it; without the plan it is right."""
    path = tmp_path / "plan.yaml"
    path.write_text("clock: {skew_seconds: 30, created_at_seconds: 5}\n")
    sandbox = start(INSTANT, faults_file=path, created_skew_seconds=7.0)
    clock = {"skew_seconds": 30.0, "created_at_seconds": 7.0}
    assert sandbox.http.get("/sandbox/faults").json() == {"faults": [], "clock": clock}
    assert _off(sandbox.create(**SMALL)["created_at"]) == pytest.approx(37, abs=TOLERANCE)
    sandbox.http.delete("/sandbox/faults")
    assert sandbox.http.get("/sandbox/faults").json() == {"faults": []}
    assert _off(_date(sandbox)) == pytest.approx(0, abs=TOLERANCE)


def test_a_clock_off_by_more_than_a_day_is_refused(instant: Running) -> None:
    """A skew has bounds, and the refusal names the field."""
    reply = instant.http.post("/sandbox/faults", json={"clock": {"skew_seconds": 90_000}})
    assert reply.status_code == 422
    assert "clock.skew_seconds" in reply.json()["detail"]


def test_uploads_are_dated_by_that_clock_too(start: Start) -> None:
    """An upload's times are those of the clock that is shown."""
    sandbox = start(INSTANT, clock_skew_seconds=-600.0)
    reply: Reply = sandbox.http.post("/v1/files", files={"content": ("a.bin", b"x")}).json()
    assert _off(reply["created_at"]) == pytest.approx(-600, abs=TOLERANCE)
