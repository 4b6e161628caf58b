"""Whole paid calls beside odd replies: each costs its own clip at the most, and is paid once."""

from __future__ import annotations

from pathlib import Path

import pytest

from asset_pipeline_tests.conftest import NewLedger
from asset_pipeline_tests.support.hostile_talks import GOOD_IN_ONE_BATCH, pay

pytestmark = pytest.mark.servers


def test_one_odd_reply_costs_one_clip_and_nothing_is_paid_twice(
    new_ledger: NewLedger, tmp_path: Path
) -> None:
    """To a create, a question, a listing or a download: the prompts beside it land.

    Afterwards the same prompts are asked for at a server that is honest again; what had landed is
    not paid for anew, the ledger is sound, and all that it holds can be shown.
    """
    figures = pay(tmp_path, new_ledger().get_secret_value(), 16, 20261128)
    assert figures.flaws == []
    assert figures.batches == 1
    assert figures.landed >= GOOD_IN_ONE_BATCH
    assert figures.replies > 5
