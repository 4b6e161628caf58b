"""Workers killed while the provider shares neither clock nor account nor names with them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from asset_pipeline_tests.support.crash import foreign_provider
from asset_pipeline_tests.support.crash.site import open_site

_SEED = 20261128


@pytest.mark.slow
def test_foreign_evidence_releases_nothing_that_was_accepted(tmp_path: Path) -> None:
    """Paid twice 0, lost 0, released while accepted 0; what can't be told is a question."""
    print(f"seed {_SEED}")  # noqa: T201 -- to repeat a failure
    wanted = foreign_provider.prompts(10)
    with open_site(tmp_path) as site:
        dice = random.Random(_SEED)
        tally, books = foreign_provider.kill_among_strangers(site, wanted, kills=14, dice=dice)
    assert books.flaws == ()
    assert (books.paid_twice, books.lost_clips, books.released) == (0, 0, 0)
    assert tally.kills.total() >= 10
