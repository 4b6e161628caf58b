"""Two machines of one name, in process namespaces of their own, pay once on one ledger."""

from __future__ import annotations

from pathlib import Path

import pytest

from asset_pipeline_tests.conftest import NewLedger
from asset_pipeline_tests.support.crash.site import open_site
from asset_pipeline_tests.support.crash.two_machines import let_twins_meet, why_not


@pytest.mark.slow
def test_a_living_twin_is_not_taken_for_dead(new_ledger: NewLedger, tmp_path: Path) -> None:
    """Its create is on the wire while another of its name wants the clip: it is paid for once."""
    if reason := why_not():
        pytest.skip(reason)
    url = new_ledger().get_secret_value()
    with open_site(tmp_path, predict="0.05", ledger_url=url) as site:
        encounters = let_twins_meet(site, rounds=2)
    assert encounters.books.flaws == ()
    assert encounters.are_fine, encounters
