"""Eight processes, one cap that fits a third of the work, workers killed meanwhile."""

from __future__ import annotations

import random
from collections.abc import Generator
from pathlib import Path

import pytest

from asset_pipeline_tests.crash.capping import spend_to_the_cap
from asset_pipeline_tests.crash.site import Site, open_site
from asset_pipeline_tests.postgres import new_database, running_postgres

_SEED = 20261122


@pytest.fixture(params=["sqlite", "postgres"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Site]:
    """A site whose ledger is on one database or the other."""
    if request.param == "sqlite":
        with open_site(tmp_path) as running:
            yield running
        return
    with running_postgres() as server:
        url = new_database(server).get_secret_value()
        with open_site(tmp_path / "site", ledger_url=url) as running:
            yield running


def test_the_cap_is_never_passed_and_its_last_clip_is_bought(site: Site) -> None:
    """What the provider charged is the most the cap allows, and not a cent more."""
    print(f"seed {_SEED}")  # noqa: T201 -- to repeat a failure
    dice = random.Random(_SEED)
    spending = spend_to_the_cap(site, processes=8, prompts=60, kills=12, dice=dice)
    books = spending.books
    assert books.flaws == ()
    assert spending.refusals == spending.processes
    assert books.provider_charged <= spending.cap
    assert books.paid == books.clips == spending.affordable
    assert spending.kills >= 8
