"""Another clock, other names and a slower gateway than ours: it is paid for once all the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from asset_pipeline.generation.reconciliation.resume import ResumeResult
from asset_pipeline.generation.timeouts import Timeouts
from asset_pipeline.ledger.schema import OPEN_STATES, IntentState
from asset_pipeline_tests.support.crash import worker_processes, workload
from asset_pipeline_tests.support.crash.bookkeeping import close_books
from asset_pipeline_tests.support.crash.site import Site, open_site
from asset_pipeline_tests.support.crash.worker import QUICK, KillPoint
from asset_pipeline_tests.support.resume import resume
from asset_pipeline_tests.support.stage import Stage

LOST = {"fault": "lost_reply_after", "times": 1}


@pytest.fixture
def own_site(tmp_path: Path) -> Iterator[Site]:
    """A server of its own, whose clock may be moved."""
    with open_site(tmp_path / "own", predict="0.1") as site:
        yield site


def _hidden(fault: str, **params: object) -> dict[str, object]:
    return {"fault": fault, "params": params}


SHOWN: dict[str, list[dict[str, Any]]] = {
    "a seed that is missing": [_hidden("hidden_seed")],
    "a seed that is null": [_hidden("hidden_seed", hide="null")],
    "a model in capitals": [_hidden("other_model_name", form="upper")],
    "a model with its version": [_hidden("other_model_name", form="version")],
    "a model by another name": [_hidden("other_model_name", form="alias", alias="x/another")],
    "no model": [_hidden("model_absent")],
    "no time": [_hidden("created_at_absent")],
    "white space gone": [_hidden("collapsed_text")],
    "all of it at once": [
        _hidden("hidden_seed"),
        _hidden("other_model_name", form="alias", alias="x/another"),
        _hidden("collapsed_text"),
        _hidden("created_at_absent"),
    ],
}


@pytest.mark.parametrize("shown", SHOWN)
@pytest.mark.parametrize("kind", ["picture", "speech"])
def test_a_lost_reply_is_found_whatever_the_provider_shows(
    own_site: Site, shown: str, kind: str
) -> None:
    """Accepted, billed, its reply lost, its row in disguise: it is adopted, never sent again."""
    made = workload.picture("fox") if kind == "picture" else workload.speech("fox")
    prompt = replace(made, text="A   red fox,  asleep")
    own_site.fault(LOST, *SHOWN[shown])
    assert worker_processes.run(own_site.job([prompt])).exit_code == 0
    assert own_site.posts() == 1
    assert close_books(own_site, [prompt]).flaws == ()


@pytest.mark.parametrize("skew", [-3600.0, -120.0, -90.0, 30.0, 120.0, 3600.0])
@pytest.mark.parametrize("kind", ["picture", "speech"])
def test_a_clock_that_is_off_proves_nothing(own_site: Site, skew: float, kind: str) -> None:
    """The Date header tells how far: the window in which a prediction may be ours moves with it."""
    prompt = workload.picture("fox") if kind == "picture" else workload.speech("fox")
    own_site.set_clock(skew)
    own_site.fault(LOST, _hidden("hidden_seed"))
    assert worker_processes.run(own_site.job([prompt])).exit_code == 0
    assert own_site.posts() == 1
    assert close_books(own_site, [prompt]).flaws == ()


def test_what_hides_all_its_inputs_is_a_question_and_not_an_absence(own_site: Site) -> None:
    """Nobody can tell whether it is ours: the money stays reserved, and nothing is sent again."""
    prompt = workload.picture("fox")
    own_site.fault(LOST, _hidden("emptied_input"))
    life = worker_processes.run(own_site.job([prompt]))
    ((found, message),) = life.summary().failures
    assert found == "unknown"
    assert "may be this one" in message
    assert own_site.posts() == 1
    (left,) = _open(own_site)
    assert (left.state, left.reserved_microusd) == (IntentState.QUESTION, 3000)


def test_what_a_listing_hides_is_asked_for_by_itself(own_site: Site) -> None:
    """A listing without inputs is no end: the prediction itself may show them."""
    prompt = workload.picture("fox")
    emptied = {"fault": "emptied_input", "match": {"route": "list"}}
    own_site.fault(LOST, emptied)
    assert worker_processes.run(own_site.job([prompt])).exit_code == 0
    assert own_site.posts() == 1
    assert close_books(own_site, [prompt]).flaws == ()


def test_the_label_finds_what_shows_nothing_else(own_site: Site) -> None:
    """The intent's id travels in the webhook's address, which the prediction repeats."""
    prompt = workload.picture("fox")
    own_site.fault(LOST, _hidden("emptied_input"), _hidden("model_absent"))
    stage = Stage(own_site, plan={"webhook_url": "http://127.0.0.1:9/hooks?team=a"})
    assert stage.run(prompt)["fox"].done
    assert own_site.posts() == 1
    (intent,) = stage.intents()
    assert intent.state is IntentState.DELIVERED


@pytest.mark.parametrize(
    "how", [{"drop": True, "after": 0.2}, {"status": 504, "after": 0.2}, {"drop": False}]
)
@pytest.mark.parametrize("kind", ["picture", "speech"])
def test_a_create_that_is_accepted_late_is_waited_for(
    own_site: Site, how: dict[str, object], kind: str
) -> None:
    """The connection is gone, and the gateway behind it accepts seconds later: paid once."""
    prompt = workload.picture("fox") if kind == "picture" else workload.speech("fox")
    late = {"fault": "late_acceptance", "times": 1, "params": {"seconds": 3, **how}}
    own_site.fault(late)
    timing = replace(QUICK, settle=0.5, late_acceptance=6.0)
    assert worker_processes.run(own_site.job([prompt], timing=timing)).exit_code == 0
    assert own_site.posts() == 1
    assert close_books(own_site, [prompt]).flaws == ()


def test_a_killed_create_that_is_accepted_late_is_waited_for(own_site: Site) -> None:
    """Nobody knows when a process died on the wire: the time counts from when it was sent."""
    prompt = workload.picture("fox")
    own_site.fault({"fault": "late_acceptance", "times": 1, "params": {"seconds": 3}})
    timing = replace(QUICK, settle=0.5, late_acceptance=6.0)
    job = own_site.job([prompt], timing=timing)
    life = worker_processes.start(job)
    while not _open(own_site) or _open(own_site)[0].state is not IntentState.SUBMITTING:
        assert not life.ended
    life.kill()
    assert worker_processes.run(job).exit_code == 0
    assert own_site.posts() == 1
    assert close_books(own_site, [prompt]).flaws == ()


def test_a_real_gateway_is_waited_for_two_minutes() -> None:
    """The slowest in common use gives up after a hundred seconds; a create of ours after 36."""
    assert Timeouts().late_acceptance >= 100 + 15


def test_an_answer_with_the_id_of_another_intent_is_a_question(own_site: Site) -> None:
    """It was accepted, so it is never absent; nobody here can say as what."""
    first, second = workload.picture("fox"), workload.picture("hen")
    assert worker_processes.run(own_site.job([first])).exit_code == 0
    own_site.fault({"fault": "same_id", "times": 1})
    life = worker_processes.run(own_site.job([second]))
    ((found, message),) = life.summary().failures
    assert found == "unknown"
    assert "belongs to another intent" in message
    (left,) = _open(own_site)
    assert (left.state, left.reserved_microusd) == (IntentState.QUESTION, 3000)
    (told,) = resume(own_site)
    assert told.result is ResumeResult.QUESTION
    assert worker_processes.run(own_site.job([second])).exit_code == 1
    assert own_site.posts() == 2


def test_a_kill_after_the_acceptance_needs_no_shared_names(own_site: Site) -> None:
    """Another process takes the intent over, and knows the prediction in disguise."""
    prompt = workload.picture("fox")
    own_site.fault(_hidden("hidden_seed"), _hidden("other_model_name", form="version"))
    own_site.set_clock(-120)
    assert worker_processes.run(own_site.job([prompt]), KillPoint("accepted")).killed
    (resumed,) = resume(own_site)
    assert resumed.result is ResumeResult.DELIVERED
    assert close_books(own_site, [prompt]).flaws == ()


def _open(site: Site) -> list[Any]:
    ledger = site.job(()).open_ledger()
    try:
        return list(ledger.intents_in(OPEN_STATES))
    finally:
        ledger.close()
