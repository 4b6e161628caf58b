"""Spending that no intent asked for is found once, and nobody's own prediction is taken for it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from asset_pipeline.catalog.reader import load_catalog
from asset_pipeline.clock import SystemClock
from asset_pipeline.generation.reconciliation.orphans import OrphanReport, audit_orphans
from asset_pipeline.generation.reconciliation.resume import ResumeResult
from asset_pipeline.ledger.intents import NEVER_ACCEPTED
from asset_pipeline.ledger.records import Intent
from asset_pipeline.ledger.schema import OPEN_STATES, BillingState, IntentState, intents
from asset_pipeline.money import MicroUsd
from asset_pipeline.providers.protocol import CreateRequest, UnavailableError
from asset_pipeline_tests.support.crash import worker_processes, workload
from asset_pipeline_tests.support.crash.bookkeeping import close_books, unbalanced
from asset_pipeline_tests.support.crash.site import Site
from asset_pipeline_tests.support.crash.worker import KillPoint
from asset_pipeline_tests.support.resume import provider_at, resume

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
            return await audit_orphans(provider, ledger, load_catalog(None), since, SystemClock())
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
    assert worker_processes.run(site.job(prompts)).exit_code == 0
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
    assert worker_processes.run(site.job([workload.picture(name)]), KillPoint("accepted")).killed
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


def _given_up(site: Site, name: str) -> Intent:
    """An intent that was released as never accepted, although the provider had accepted it."""
    intent = _left_by_a_dead_worker(site, name)
    ledger = site.job(()).open_ledger()
    ledger.refuse(intent, "network", f"{NEVER_ACCEPTED}: absent from the provider's listings")
    ledger.close()
    assert _charged(site) == 0
    return intent


def test_what_was_given_up_and_turns_up_is_no_orphan(
    site: Site, name: str, since: datetime
) -> None:
    """Its intent is taken back, charged and delivered: nothing is paid for the clip again."""
    intent = _given_up(site, name)
    report = _audit(site, since)
    assert [each.intent_id for each in report.taken_back] == [intent.intent_id]
    assert (report.recorded, report.agrees) == ((), False)
    (resumed,) = resume(site)
    assert resumed.result is ResumeResult.DELIVERED
    assert close_books(site, [workload.picture(name)]).flaws == ()
    assert _audit(site, since).agrees


def test_reconciling_takes_back_what_turned_up(site: Site, name: str) -> None:
    """No audit has to come first."""
    _given_up(site, name)
    (resumed,) = resume(site)
    assert resumed.result is ResumeResult.DELIVERED
    assert close_books(site, [workload.picture(name)]).flaws == ()


def test_a_second_attempt_looks_back_before_it_is_sent(site: Site, name: str) -> None:
    """It finds the first one accepted: it is refused, and the first one's clip is the clip."""
    first = _given_up(site, name)
    prompts = [workload.picture(name)]
    assert worker_processes.run(site.job(prompts)).exit_code == 0
    books = close_books(site, prompts)
    assert books.flaws == ()
    assert (books.paid, site.posts()) == (1, 1)
    ledger = site.job(()).open_ledger()
    assert ledger.intent(first.intent_id).state is IntentState.DELIVERED
    (second,) = ledger.intents_in([IntentState.REFUSED])
    ledger.close()
    assert (second.attempt, second.error) == (2, "an earlier attempt turned up")


def test_a_second_attempt_without_a_seed_looks_back_too(site: Site, name: str) -> None:
    """Nothing but the text tells whose it is, and the attempt that looks was not sent yet."""
    prompts = [workload.speech(name)]
    assert worker_processes.run(site.job(prompts), KillPoint("accepted")).killed
    ledger = site.job(()).open_ledger()
    (intent,) = ledger.intents_in(OPEN_STATES)
    intent = ledger.adopt(intent, ledger.start_worker("audit"))
    ledger.refuse(intent, "network", NEVER_ACCEPTED)
    ledger.close()
    assert worker_processes.run(site.job(prompts)).exit_code == 0
    assert close_books(site, prompts).flaws == ()
    assert site.posts() == 1


def test_a_clip_that_was_made_meanwhile_is_not_replaced(site: Site, name: str) -> None:
    """The second attempt was delivered before: both are owed, and the clip that is shown stays."""
    first = _given_up(site, name)
    ledger = site.job(()).open_ledger()
    error = intents.update().where(intents.c.intent_id == first.intent_id)
    with ledger.engine.begin() as connection:  # as if no listing had shown it yet
        connection.execute(error.values(error="not looked for"))
    assert worker_processes.run(site.job([workload.picture(name)])).exit_code == 0
    with ledger.engine.begin() as connection:
        connection.execute(error.values(error=NEVER_ACCEPTED))
    (shown,) = ledger.current_clips()
    (resumed,) = resume(site)
    assert (resumed.intent.intent_id, resumed.result) == (first.intent_id, ResumeResult.DELIVERED)
    assert ledger.current_clips() == [shown]
    ledger.close()
    assert _charged(site) == _provider_charged(site) == 6000
