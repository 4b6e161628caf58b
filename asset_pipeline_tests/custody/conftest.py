from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from asset_pipeline_tests.conftest import NewLedger
from asset_pipeline_tests.support.clocks import FakeClock
from asset_pipeline_tests.support.custody_site import Keep


@pytest.fixture
def keep(new_sqlite: NewLedger, tmp_path: Path, clock: FakeClock) -> Generator[Keep]:
    """An empty ledger and an empty store."""
    made = Keep(new_sqlite(), tmp_path, clock)
    yield made
    made.books.close()


@pytest.fixture
def keep_anywhere(new_ledger: NewLedger, tmp_path: Path, clock: FakeClock) -> Generator[Keep]:
    """The same on SQLite and on Postgres."""
    made = Keep(new_ledger(), tmp_path, clock)
    yield made
    made.books.close()
