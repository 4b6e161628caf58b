"""What dead processes left is finished without their prompts, and nothing new is sent for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select, update

from asset_pipeline.catalog.reader import Catalog, load_catalog
from asset_pipeline.generation.reconciliation.resume import ResumeResult
from asset_pipeline.ledger.schema import OPEN_STATES, IntentState, intents, lineage
from asset_pipeline.tracing import spans
from asset_pipeline_tests.support.crash import worker_processes, workload
from asset_pipeline_tests.support.crash.bookkeeping import close_books
from asset_pipeline_tests.support.crash.site import Site, open_site
from asset_pipeline_tests.support.crash.worker import KillPoint
from asset_pipeline_tests.support.resume import resume
from asset_pipeline_tests.support.span_recorder import SpanRecorder


def _die(site: Site, name: str, point: str) -> None:
    """Leave one intent behind, where a point of the paid call leaves it."""
    prompts = [workload.picture(name)]
    assert worker_processes.run(site.job(prompts), KillPoint(point)).killed


@pytest.mark.parametrize(
    ("point", "state", "result"),
    [
        ("reserved", IntentState.RESERVED, ResumeResult.RELEASED),
        ("submitting", IntentState.SUBMITTING, ResumeResult.RELEASED),
        ("accepted", IntentState.SUBMITTING, ResumeResult.DELIVERED),
        ("submitted", IntentState.SUBMITTED, ResumeResult.DELIVERED),
        ("ended", IntentState.SUBMITTED, ResumeResult.DELIVERED),
        ("charged", IntentState.COMPLETED, ResumeResult.DELIVERED),
        ("stored", IntentState.COMPLETED, ResumeResult.DELIVERED),
    ],
)
def test_wherever_a_process_died_its_intent_is_finished(
    site: Site, name: str, point: str, state: IntentState, result: ResumeResult
) -> None:
    """The prompt is gone from the files; the books agree with the provider all the same."""
    _die(site, name, point)
    posts = site.posts()
    (resumed,) = resume(site)
    assert (resumed.intent.state, resumed.result) == (state, result), resumed.reason
    assert site.posts() == posts, "resuming sends nothing new"
    prompts = [workload.picture(name)] if result is ResumeResult.DELIVERED else []
    books = close_books(site, prompts)
    assert books.flaws == ()
    assert books.clips == len(prompts)
    assert resume(site) == []


def test_who_finishes_it_is_linked_to_who_began_it(
    site: Site, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trace of the dead process leads to the one that fetched its clip, and back."""
    _die(site, name, "accepted")
    began = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    with site.job(()).open_ledger().engine.begin() as connection:
        connection.execute(update(intents).values(traceparent=began))
    recorder = SpanRecorder()
    monkeypatch.setattr(spans, "_tracer", [recorder])
    (resumed,) = resume(site)
    assert resumed.result is ResumeResult.DELIVERED
    names = [made for made, _ in recorder.made]
    assert {"resume", "reconcile", "wait", "fetch", "verify", "put", "deliver"} <= set(names)
    assert {links for made, links in recorder.made if made in {"resume", "reconcile"}} == {(began,)}


def test_a_failed_prediction_ends_as_failed(site: Site, name: str) -> None:
    """It brings no clip, its money is back, and the reason is the provider's."""
    site.fault({"fault": "failed", "match": {"prompt": name}, "params": {"error": "NSFW"}})
    _die(site, name, "submitted")
    (resumed,) = resume(site)
    assert (resumed.result, resumed.reason) == (ResumeResult.FAILED, "content_policy: NSFW")
    assert close_books(site, [], complete=False).ledger_charged == 0


def test_a_living_process_is_left_alone(site: Site, name: str) -> None:
    """Its intents are busy and end as it ends them."""
    site.fault({"fault": "slow", "match": {"prompt": name}, "params": {"seconds": 3}})
    prompts = [workload.picture(name)]
    life = worker_processes.start(site.job(prompts))
    ledger = site.job(prompts).open_ledger()
    while not ledger.intents_in([IntentState.SUBMITTED]):
        assert not life.ended
    ledger.close()
    (resumed,) = resume(site)
    assert resumed.result is ResumeResult.BUSY
    assert life.wait()
    assert life.exit_code == 0
    assert close_books(site, prompts).flaws == ()


def test_a_prompt_that_still_asks_the_same_is_named_in_the_lineage(site: Site, name: str) -> None:
    """An unchanged prompt is the parent by its hash; an edited one by its id alone."""
    same, edited = workload.picture(f"{name}-same"), workload.picture(f"{name}-edited")
    for prompt in (same, edited):
        assert worker_processes.run(site.job([prompt]), KillPoint("submitted")).killed
    changed = replace(edited, text="Something else altogether")
    assert {each.result for each in resume(site, [same, changed])} == {ResumeResult.DELIVERED}
    ledger = site.job(()).open_ledger()
    with ledger.engine.connect() as connection:
        rows = connection.execute(
            select(lineage.c.parent_id, lineage.c.parent_sha256).where(
                lineage.c.parent_type == "prompt"
            )
        )
        parents = {row.parent_id: row.parent_sha256 for row in rows}
    ledger.close()
    assert [parents[key] for key in sorted(parents)] == [None, same.prompt_hash]


def test_a_model_that_left_the_catalog_is_finished_all_the_same(site: Site, name: str) -> None:
    """The intent remembers what it was begun on: what is paid for is charged and delivered."""
    speech = workload.speech(name)
    assert worker_processes.run(site.job([speech]), KillPoint("submitted")).killed
    _die(site, name, "submitted")
    known = load_catalog(None).models
    catalog = Catalog({each: model for each, model in known.items() if each != speech.model})
    by_model = {each.intent.model: each for each in resume(site, catalog=catalog)}
    assert by_model[speech.model].result is ResumeResult.DELIVERED
    assert by_model[workload.PICTURES].result is ResumeResult.DELIVERED


def test_a_silent_provider_is_asked_once(tmp_path: Path, name: str) -> None:
    """All that needs it stays open with the reason; what was never sent is released anyway."""
    with open_site(tmp_path, predict="0.2") as site:
        for number, point in enumerate(("submitted", "submitted", "reserved")):
            _die(site, f"{name}-{number}", point)
        site.kill_server()
        first, second, third = resume(site)
        assert {first.result, second.result} == {ResumeResult.OPEN}
        assert "can't be asked" in first.reason
        assert third.result is ResumeResult.RELEASED
        site.open_server()
        assert [each.result for each in resume(site)] == [ResumeResult.DELIVERED] * 2
        prompts = [workload.picture(f"{name}-{number}") for number in range(2)]
        assert close_books(site, prompts).flaws == ()


def test_a_question_is_told_and_left_to_a_person(site: Site, name: str) -> None:
    """It is neither asked again nor touched."""
    _die(site, name, "submitting")
    ledger = site.job(()).open_ledger()
    (intent,) = ledger.intents_in(OPEN_STATES)
    intent = ledger.adopt(intent, ledger.start_worker("a person"))
    ledger.ask(intent, "the provider has removed the inputs")
    (resumed,) = resume(site)
    assert resumed.result is ResumeResult.QUESTION
    assert resumed.reason == "the provider has removed the inputs"
    (left,) = ledger.intents_in(OPEN_STATES)
    assert (left.state, left.reserved_microusd) == (IntentState.QUESTION, 3000)
    ledger.close()
