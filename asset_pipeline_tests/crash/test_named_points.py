"""A worker killed at every named point of the paid call, once each, in a fixed order."""

from __future__ import annotations

from pathlib import Path

from asset_pipeline_tests.support.crash import workload
from asset_pipeline_tests.support.crash.bookkeeping import close_books
from asset_pipeline_tests.support.crash.kill_harness import (
    FAULT_POINTS,
    PLAIN_POINTS,
    RECOVERY_POINTS,
    SWEEP,
    kill_at_every_point,
)
from asset_pipeline_tests.support.crash.site import open_site


def test_killed_at_every_point_nothing_is_paid_twice_or_lost(tmp_path: Path) -> None:
    """After a death at each point all clips are there, each paid for once."""
    assert {*SWEEP} == {*PLAIN_POINTS, *RECOVERY_POINTS, *FAULT_POINTS}
    prompts = [*workload.mixed(2), workload.speech("end", variants=2)]
    with open_site(tmp_path, predict="0.05") as site:
        tally = kill_at_every_point(site, site.job(prompts, max_in_flight=1))
        books = close_books(site, prompts)
    assert books.flaws == ()
    assert books.paid == books.clips == workload.clips_wanted(prompts)
    assert tally.kills.total() == len(SWEEP)
