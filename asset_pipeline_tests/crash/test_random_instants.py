"""Workers killed at random instants and points, six clips in flight, replies lost meanwhile."""

from __future__ import annotations

import random
from pathlib import Path

from asset_pipeline_tests.support.crash import workload
from asset_pipeline_tests.support.crash.bookkeeping import close_books
from asset_pipeline_tests.support.crash.fault_plan import MIXED
from asset_pipeline_tests.support.crash.kill_harness import PLAIN_POINTS, kill_until_done, shuffled
from asset_pipeline_tests.support.crash.site import open_site

_SEED = 20261121


def test_random_kills_among_lost_replies_pay_once_and_lose_nothing(tmp_path: Path) -> None:
    """Whenever a worker dies, and whatever the wire loses, each variant is paid for once."""
    print(f"seed {_SEED}")  # noqa: T201 -- to repeat a failure
    deaths = shuffled(random.Random(_SEED), PLAIN_POINTS, longest=0.6)
    prompts = workload.mixed(20)
    with open_site(tmp_path) as site:
        site.fault(*MIXED)
        tally = kill_until_done(site.job(prompts), deaths, kills=28)
        books = close_books(site, prompts)
    assert books.flaws == ()
    assert books.provider_charged == books.ledger_charged
    assert books.paid == books.clips == workload.clips_wanted(prompts)
    assert tally.kills.total() >= 20
