"""Spending that no intent asked for is found once, and nobody's own prediction is taken for it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from asset_pipeline.catalog.reader import load_catalog
from asset_pipeline.generation.orphans import OrphanReport, _may_be, audit_orphans
from asset_pipeline.ledger.records import Intent
from asset_pipeline.ledger.schema import OPEN_STATES, BillingState, IntentState
from asset_pipeline.money import MicroUsd
from asset_pipeline.providers.prediction import Prediction
from asset_pipeline.providers.protocol import CreateRequest, UnavailableError
from asset_pipeline_tests.crash import lives, workload
from asset_pipeline_tests.crash.books import unbalanced
from asset_pipeline_tests.crash.site import Site
from asset_pipeline_tests.crash.worker import KillPoint
from asset_pipeline_tests.generation.resuming import provider_at

SDXL = "stability-ai/sdxl"


@pytest.fixture
def since(site: Site) -> datetime:
    """The start of the test: the server has a past with other tests."""
    del site
    time.sleep(0.01)
    return datetime.now(UTC)


def _audit(site: Site, since: datetime) -> OrphanReport:
    async def run() -> OrphanReport:
        ledger, provider = site.job(()).open_ledger(), provider_at(site)
        try:
            return await audit_orphans(provider, ledger, load_catalog(None), since)
        finally:
            await provider.aclose()
            ledger.close()

    return asyncio.run(run())


def _buy(site: Site, text: str, model: str = workload.PICTURES, *, wait: bool = True) -> str:
    """Do what a script beside the project does: pay without a ledger."""

    async def run() -> str:
        provider = provider_at(site)
        known = load_catalog(None).models[model]
        inputs = {known.prompt_input: text}
        prediction = await provider.create(CreateRequest(model, known.version, inputs, 60))
        while wait and not prediction.status.is_terminal:
            await asyncio.sleep(0.05)
            prediction = await provider.get(prediction.prediction_id)
        await provider.aclose()
        return prediction.prediction_id

    return asyncio.run(run())


def _charged(site: Site) -> int:
    ledger = site.job(()).open_ledger()
    charged = {line.budget: line.charged for line in ledger.balances()}.get("total", 0)
    ledger.close()
    assert list(unbalanced(site.job(()).open_ledger())) == []
    return charged


def _provider_charged(site: Site) -> int:
    return sum(line["charge_micro_usd"] for line in site.charges())


def test_an_orphan_becomes_a_priced_row(site: Site, name: str, since: datetime) -> None:
    """Pictures and speech are charged as the provider bills them; a second audit finds nothing."""
    prompts = [workload.picture(name)]
    assert lives.run(site.job(prompts)).exit_code == 0
    bought = {_buy(site, f"{name} one"), _buy(site, f"{name} two", workload.SPEECH)}
    report = _audit(site, since)
    assert {orphan.prediction_id for orphan in report.recorded} == bought
    assert (report.listed, report.known) == (3, 1)
    assert _charged(site) == _provider_charged(site)
    ledger = site.job(()).open_ledger()
    orphans = [
        each
        for each in ledger.intents_in([IntentState.FAILED])
        if each.billed is BillingState.ORPHAN
    ]
    ledger.close()
    assert {each.prediction_id for each in orphans} == bought
    again = _audit(site, since)
    assert (again.recorded, again.known) == ((), 3)
    assert _charged(site) == _provider_charged(site)


def test_what_still_runs_is_priced_by_the_next_audit(
    site: Site, name: str, since: datetime
) -> None:
    """Nobody knows its price before it has ended."""
    site.fault({"fault": "slow", "match": {"prompt": name}, "params": {"seconds": 2}})
    _buy(site, name, wait=False)
    report = _audit(site, since)
    assert (report.running, report.recorded) == (1, ())
    time.sleep(2.5)
    assert len(_audit(site, since).recorded) == 1


def test_what_has_no_price_is_named(site: Site, name: str, since: datetime) -> None:
    """A model that nobody priced is no reason to guess, nor to be silent."""
    _buy(site, name, SDXL)
    report = _audit(site, since)
    assert (len(report.unpriced), report.recorded) == (1, ())


def _left_by_a_dead_worker(site: Site, name: str) -> Intent:
    """An intent whose prediction was accepted, and whose reply nobody stored."""
    assert lives.run(site.job([workload.picture(name)]), KillPoint("accepted")).killed
    while any(line["status"] != "succeeded" for line in site.charges()):
        time.sleep(0.05)
    ledger = site.job(()).open_ledger()
    (intent,) = ledger.intents_in(OPEN_STATES)
    intent = ledger.adopt(intent, ledger.start_worker("audit"))
    ledger.close()
    return intent


def test_a_lost_reply_is_nobodys_orphan(site: Site, name: str, since: datetime) -> None:
    """It waits for its intent, unknown or a question; another model's does not."""
    intent = _left_by_a_dead_worker(site, name)
    _buy(site, name, workload.SPEECH)
    report = _audit(site, since)
    assert (report.waiting, len(report.recorded)) == (1, 1)
    ledger = site.job(()).open_ledger()
    ledger.ask(intent, "cannot tell")
    ledger.close()
    assert _audit(site, since).waiting == 1


def test_what_a_person_charged_is_not_charged_again(site: Site, name: str, since: datetime) -> None:
    """The prediction behind an answered question is in the books; a second one is an orphan."""
    intent = _left_by_a_dead_worker(site, name)
    ledger = site.job(()).open_ledger()
    intent = ledger.ask(intent, "cannot tell")
    ledger.charge_by_hand(intent, MicroUsd(3000))
    ledger.close()
    report = _audit(site, since)
    assert (report.decided, report.recorded) == (1, ())
    assert _charged(site) == _provider_charged(site)
    other = _buy(site, f"another than {name}")
    report = _audit(site, since)
    assert [orphan.prediction_id for orphan in report.recorded] == [other]
    assert _charged(site) == _provider_charged(site)


def test_what_a_person_released_and_was_billed_comes_to_light(
    site: Site, name: str, since: datetime
) -> None:
    """A wrong answer is put right by the next audit."""
    intent = _left_by_a_dead_worker(site, name)
    ledger = site.job(()).open_ledger()
    ledger.release_by_hand(ledger.ask(intent, "cannot tell"))
    ledger.close()
    assert _charged(site) == 0
    assert len(_audit(site, since).recorded) == 1
    assert _charged(site) == _provider_charged(site)


def test_a_silent_provider_proves_nothing(site: Site, name: str, since: datetime) -> None:
    """Without a listing nothing is recorded, and the next audit does it."""
    _buy(site, name)
    with pytest.raises(UnavailableError):
        _audit(replace(site, url="http://127.0.0.1:1"), since)
    assert _charged(site) == 0
    assert len(_audit(site, since).recorded) == 1


def test_predictions_of_long_ago_or_later_are_no_intents(
    site: Site, name: str, since: datetime
) -> None:
    """An intent answers for the minute around its own submission and for no other time."""
    intent = _left_by_a_dead_worker(site, name)

    async def first() -> Prediction:
        provider = provider_at(site)
        found = [each async for each in provider.list_since(since)]
        await provider.aclose()
        return found[0]

    prediction = asyncio.run(first())
    assert _may_be(prediction, intent)
    for minutes in (-10, 10):
        moved = (
            prediction.created_at + timedelta(minutes=minutes) if prediction.created_at else None
        )
        assert not _may_be(replace(prediction, created_at=moved), intent)
