"""Evidence counts for the account it came from: another one proves, releases and reuses nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from asset_pipeline.generation.reconciliation.resume import ResumeResult
from asset_pipeline.ledger.schema import OPEN_STATES, IntentState
from asset_pipeline_tests.support.crash import worker_processes, workload
from asset_pipeline_tests.support.crash.bookkeeping import close_books
from asset_pipeline_tests.support.crash.site import Site
from asset_pipeline_tests.support.crash.worker import KillPoint
from asset_pipeline_tests.support.resume import resume
from asset_pipeline_tests.support.stage import Stage, classes

# The site's own token is of the account "sandbox", whose bill the books are closed against.
OWN, OTHER = "r8_sandbox", "r8_account_other"


@pytest.fixture
def stage(site: Site) -> Stage:
    """A stage of the site's own account."""
    return Stage(site)


@pytest.mark.parametrize("point", ["submitting", "accepted", "submitted"])
def test_another_account_proves_nothing_about_a_lost_reply(
    site: Site, name: str, point: str
) -> None:
    """Its listing lacks the prediction whatever became of it: the intent waits for its own."""
    prompts = [workload.picture(name)]
    assert worker_processes.run(replace(site.job(prompts), token=OWN), KillPoint(point)).killed
    (told,) = resume(site, token=OTHER)
    assert told.result is ResumeResult.OPEN
    assert "account 'sandbox'" in told.reason
    assert "account 'other'" in told.reason
    ledger = site.job(()).open_ledger()
    (left,) = ledger.intents_in(OPEN_STATES)
    ledger.close()
    assert left.state is not IntentState.REFUSED
    assert left.reserved_microusd == 3000
    (own,) = resume(site, token=OWN)
    landed = point != "submitting"
    assert own.result is (ResumeResult.DELIVERED if landed else ResumeResult.RELEASED)
    assert close_books(site, prompts if landed else []).flaws == ()


def test_a_run_of_another_account_pays_nothing_for_what_is_open(site: Site, name: str) -> None:
    """It fails by name; the account that sent it lands it, and it is paid for once."""
    prompts = [workload.picture(name)]
    assert worker_processes.run(replace(site.job(prompts), token=OWN), KillPoint("accepted")).killed
    life = worker_processes.run(replace(site.job(prompts), token=OTHER))
    ((found, message),) = life.summary().failures
    assert found == "other_account"
    assert "account 'sandbox'" in message
    assert site.posts() == 1
    assert worker_processes.run(replace(site.job(prompts), token=OWN)).exit_code == 0
    assert close_books(site, prompts).flaws == ()


def test_a_clip_of_another_account_is_neither_reused_nor_paid_again(
    stage: Stage, name: str
) -> None:
    """It says whose it is; a person may pay again with this one."""
    prompt = workload.picture(name)
    stage.token = OWN
    assert stage.run(prompt)[name].done
    posts = stage.site.posts()
    stage.token = OTHER
    outcome = stage.run(prompt)[name]
    assert classes(outcome) == ["other_account"]
    assert "account 'sandbox'" in outcome.failures[0].message
    assert "--force" in outcome.failures[0].hint
    assert stage.site.posts() == posts
    stage.plan["pay_again_before"] = datetime.now(UTC)
    (landed,) = stage.run(prompt)[name].landed
    assert (landed.clip.account, stage.site.posts()) == ("other", posts + 1)


def test_a_clip_says_who_made_it(stage: Stage, name: str) -> None:
    """Intent and clip carry provider, address and account."""
    stage.token = OWN
    (landed,) = stage.run(workload.picture(name))[name].landed
    (intent,) = stage.intents()
    assert landed.clip.origin == intent.origin
    assert (intent.provider, intent.account) == ("replicate", "sandbox")
    assert intent.base_url == stage.site.url
    assert intent.terms is not None


def test_an_account_that_cannot_be_asked_costs_no_stored_clip(stage: Stage, name: str) -> None:
    """What is stored is reused for nothing while the provider is away."""
    prompt = workload.picture(name)
    assert stage.run(prompt)[name].done
    away = Stage(replace(stage.site, url="http://127.0.0.1:1"))
    assert away.run(prompt)[name].done
