"""A worker killed at every named point of the paid call, once each, in a fixed order."""

from __future__ import annotations

from pathlib import Path

from asset_pipeline_tests.crash import lives, workload
from asset_pipeline_tests.crash.books import close_books
from asset_pipeline_tests.crash.killing import FAULT_POINTS, PLAIN_POINTS, RECOVERY_POINTS
from asset_pipeline_tests.crash.site import open_site
from asset_pipeline_tests.crash.worker import KillPoint

# Clips are made one after the other, so each death meets the clip that the one before it left.
_DEATHS = (
    "reserved",
    "submitting",  # not sent
    "absent",
    "released",
    "accepted",  # sent, the reply lost with the process
    "listed",
    "found",
    "adopted",
    "ended",
    "charged",
    "stored",
    "delivered",
    "submitted",
    "lost",
    "unknown",
    "refused",
    "failed",
)
_FAULTS = {
    "lost": "lost_reply_before",
    "unknown": "lost_reply_after",
    "refused": "rate_limited",
    "failed": "failed",
}


def test_killed_at_every_point_nothing_is_paid_twice_or_lost(tmp_path: Path) -> None:
    """After a death at each point all clips are there, each paid for once."""
    assert {*_DEATHS} == {*PLAIN_POINTS, *RECOVERY_POINTS, *FAULT_POINTS}
    prompts = [*workload.mixed(2), workload.speech("end", variants=2)]
    with open_site(tmp_path, predict="0.05") as site:
        job = site.job(prompts, max_in_flight=1)
        for name in _DEATHS:
            if name in _FAULTS:
                site.fault({"fault": _FAULTS[name], "times": 1, "params": {"retry_after": 0}})
            assert lives.run(job, KillPoint(name)).killed, f"no life passed {name}"
        assert lives.run(job).exit_code == 0
        books = close_books(site, prompts)
    assert books.flaws == ()
    assert books.paid == books.clips == workload.clips_wanted(prompts)
