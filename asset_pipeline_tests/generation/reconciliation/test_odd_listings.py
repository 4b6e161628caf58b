"""An audit over odd rows: all that can be read is in the books, and the rest is said."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

from asset_pipeline.catalog.reader import load_catalog
from asset_pipeline.clock import SystemClock
from asset_pipeline.generation.reconciliation.orphans import OrphanReport, audit_orphans
from asset_pipeline.ledger.budgets import BudgetCaps
from asset_pipeline.ledger.engine import open_engine
from asset_pipeline.ledger.ledger import Ledger
from asset_pipeline_tests.conftest import NewLedger
from asset_pipeline_tests.support.provider_samples import prediction, provider
from asset_pipeline_tests.support.scripted_server import Answer, reply, serving

SINCE = datetime(2026, 11, 21, 11, 0, tzinfo=UTC)


def row(number: int, **changes: object) -> dict[str, object]:
    """A prediction that was billed and that nobody asked for."""
    ended = {"status": "succeeded", "metrics": {"image_output_count": 1, "predict_time": 1.0}}
    return prediction(**{"id": f"p{number}", **ended} | changes)


ODD: list[dict[str, object]] = [
    {"input": {"prompt": "nul\x00"}},
    {"input": {"prompt": "\ud800"}},
    {"input": {"prompt": "x" * 200_000}},
    {"version": "\x00" * 100},
    {"version": "v" * 1000},
    {"error": "\x00\ud800\x1b[31m"},
    {"created_at": "9999-12-31T23:59:59Z", "completed_at": "0001-01-01T00:00:00Z"},
    {"metrics": {"predict_time": float("inf"), "image_output_count": -1, "\x00": 1}},
    {"urls": {"web": "javascript:alert(1)\x00"}},
]


def audit(new_ledger: NewLedger, *script: Answer) -> OrphanReport:
    """Audit a scripted server with an empty ledger."""

    async def run() -> OrphanReport:
        caps = BudgetCaps.model_validate({"total_usd": "100", "daily_usd": None})
        ledger = Ledger(open_engine(new_ledger()), SystemClock(), lambda: caps)
        async with serving(reply(404, {})) as server:
            for each in script:
                path = server.routes.setdefault(PATH, [])
                path.append(each)
            replicate = provider(server.url)
            try:
                return await audit_orphans(
                    replicate, ledger, load_catalog(None), SINCE, SystemClock()
                )
            finally:
                await replicate.aclose()
                ledger.close()

    return asyncio.run(run())


PATH = "/v1/predictions?created_after=2026-11-21T11%3A00%3A00%2B00%3A00"


def test_odd_rows_are_recorded_beside_the_others(new_ledger: NewLedger) -> None:
    """A NUL or a lone surrogate stopped the whole audit on Postgres, and every batch with it."""
    rows = [row(number, **changes) for number, changes in enumerate(ODD)]
    unreadable: list[object] = [row(0, id="\x00"), row(0, id="x" * 65), 7, None]
    page = {"results": [*rows, *unreadable, row(99)], "next": None}
    report = audit(new_ledger, reply(200, page))
    names = {each.prediction_id for each in report.recorded} | set(report.unpriced)
    assert names == {f"p{number}" for number in range(len(ODD))} | {"p99"}
    assert "p99" in {each.prediction_id for each in report.recorded}
    assert "4 rows that can't be read" in report.gap
    assert not report.agrees


def test_an_audit_of_a_whole_listing_has_no_gap(new_ledger: NewLedger) -> None:
    """What can be read is no reason to doubt."""
    began = time.monotonic()
    report = audit(new_ledger, reply(200, {"results": [row(1)], "next": None}))
    assert (report.listed, report.gap) == (1, "")
    assert time.monotonic() - began < 30
