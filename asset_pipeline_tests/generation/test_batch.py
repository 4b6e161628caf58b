"""A batch: each clip on its own, budgets and stops in the middle, and no payment made twice."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import shutil
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.engine import make_url

from asset_pipeline.clock import SystemClock
from asset_pipeline.generation.batch import PromptOutcome
from asset_pipeline.ledger import engine as engine_module
from asset_pipeline.ledger.engine import LedgerError
from asset_pipeline.ledger.records import Intent
from asset_pipeline.ledger.schema import IntentState
from asset_pipeline.prompts.spec import Prompt
from asset_pipeline.providers.replicate import ReplicateProvider
from asset_pipeline_tests.support.crash import workload
from asset_pipeline_tests.support.crash.site import Site
from asset_pipeline_tests.support.generation_samples import FLUX_DEV, request_for
from asset_pipeline_tests.support.ledger_invariants import violations
from asset_pipeline_tests.support.retry_rules import no_retries
from asset_pipeline_tests.support.stage import Stage, classes

PRICE = 3000


@pytest.fixture
def stage(site: Site) -> Iterator[Stage]:
    """A stage whose books must balance at the end."""
    stage = Stage(site)
    yield stage
    books = stage.ledger()
    assert violations(books.engine) == []
    books.close()


@pytest.fixture
def pictures(name: str) -> list[Prompt]:
    """Six prompts that no other test has."""
    return [workload.picture(f"{name}-{number}") for number in range(6)]


def open_intents(stage: Stage) -> list[str]:
    """The states of the intents that are open."""
    return [intent.state.value for intent in stage.intents(lambda intent: intent.is_open)]


def test_outcomes_and_progress_add_up(stage: Stage, name: str) -> None:
    """Each prompt comes once, when its last variant has landed; the totals are the sums."""
    prompts = [workload.picture(f"{name}-{n}", variants=n) for n in (1, 2, 3)]
    outcomes = stage.run(*prompts)
    assert {key: len(outcome.landed) for key, outcome in outcomes.items()} == {
        prompt.prompt_id: prompt.variants for prompt in prompts
    }
    assert all(outcome.done and outcome.complete for outcome in outcomes.values())
    last = stage.progress[-1]
    assert (last.total, last.done, last.failed, last.clips) == (3, 3, 0, 6)
    assert (last.paid, last.cached_clips) == (6 * PRICE, 0)
    assert len(stage.progress) == 4, "at the start, and with each prompt"
    files = {landed.clip.sha256 for outcome in outcomes.values() for landed in outcome.landed}
    assert len(files) == 6
    assert all(landed.preview for outcome in outcomes.values() for landed in outcome.landed)

    stage.run(*prompts)
    last = stage.progress[-1]
    assert (last.clips, last.cached_clips, last.paid) == (6, 6, 0)


def test_nothing_to_do_is_done(stage: Stage) -> None:
    """A batch of no prompts ends."""
    assert stage.run() == {}


def test_a_surprise_in_one_clip_does_not_stop_the_others(
    stage: Stage, pictures: list[Prompt], caplog: pytest.LogCaptureFixture
) -> None:
    """A bug that one prompt runs into is that prompt's failure, and is logged with its trace."""
    odd = replace(pictures[0], inputs={"guidance": float("nan")})
    with caplog.at_level(logging.ERROR):
        outcomes = stage.run(odd, *pictures[1:])
    assert classes(outcomes.pop(odd.prompt_id)) == ["unknown"]
    assert all(outcome.done for outcome in outcomes.values())
    assert odd.prompt_id in caplog.text
    assert "Traceback" in caplog.text


def test_one_prompts_variants_run_at_the_same_time(stage: Stage, name: str) -> None:
    """A batch of one prompt is not a queue of its variants."""
    underway: set[int] = set()
    told: set[int] = set()
    count = Counter[str]()

    def watch(point: str) -> None:
        count[point] += 1
        underway.add(count["submitted"] - count["delivered"])
        told.add(stage.progress[-1].in_flight())

    stage.plan["checkpoint"] = watch
    stage.run(workload.picture(name, variants=6))
    assert max(underway) >= 4
    assert max(told) >= 4, "progress tells of them before the prompt ends"
    assert stage.progress[-1].in_flight() == 0


def test_no_more_are_in_flight_than_allowed_and_prompts_are_drawn_as_places_get_free(
    stage: Stage, name: str
) -> None:
    """A hundred thousand prompts do not stand in memory: four at a time are drawn."""
    stage.max_in_flight = 4
    drawn, finished, ahead, flying = 0, 0, [], []

    def prompts() -> Iterator[Prompt]:
        nonlocal drawn
        for number in range(24):
            drawn += 1
            yield workload.picture(f"{name}-{number}")

    async def run() -> None:
        nonlocal finished
        async with stage.session() as paid_call:
            async for outcome in stage.batch(paid_call).run(prompts(), 24):
                assert outcome.done
                ahead.append(drawn - finished)
                flying.append(stage.progress[-1].in_flight())
                finished += 1

    asyncio.run(run())
    assert finished == 24
    # Those in flight, and those that finished while the reader was not looking.
    assert max(ahead) <= 8
    assert 0 < max(flying) <= 4


def test_equal_prompts_in_one_batch_pay_once(stage: Stage, name: str) -> None:
    """Three ids with one text: one create, and each id has its clip."""
    first = workload.picture(name)
    others = [replace(first, prompt_id=f"{name}-{n}", collection="other") for n in (1, 2)]
    outcomes = stage.run(first, *others)
    assert stage.site.posts() == 1
    clips = {key: outcome.landed[0].clip for key, outcome in outcomes.items()}
    assert len(clips) == 3
    assert {clip.sha256 for clip in clips.values()} == {clips[name].sha256}
    assert sorted(clip.cost_microusd for clip in clips.values()) == [0, 0, PRICE]
    assert {clip.collection for clip in clips.values()} == {"crash", "other"}


def test_a_breach_stops_new_work_and_lets_paid_work_land(
    stage: Stage, pictures: list[Prompt]
) -> None:
    """Of six, three fit: they land, three are refused by name, and not one more is sent."""
    stage.caps["total_usd"] = "0.009"
    outcomes = stage.run(*pictures)
    refused = [outcome for outcome in outcomes.values() if outcome.budget is not None]
    assert sum(outcome.done for outcome in outcomes.values()) == 3
    assert len(refused) == 3
    for outcome in refused:
        assert outcome.budget is not None
        assert (outcome.budget.budget, outcome.budget.needed) == ("total", PRICE)
        assert classes(outcome) == ["budget"]
    assert stage.site.posts() == 3
    assert stage.states() == ["delivered"] * 3


def test_after_a_breach_what_is_stored_or_open_still_lands(
    stage: Stage, pictures: list[Prompt]
) -> None:
    """A budget that is used up hides no clip that was paid for."""
    stage.caps["total_usd"] = "0.009"
    stage.run(*pictures[:3])
    stage.max_in_flight = 1
    again = stage.run(pictures[5], *pictures[:3])
    assert [again[prompt.prompt_id].done for prompt in pictures[:3]] == [True] * 3
    assert classes(again[pictures[5].prompt_id]) == ["budget"]
    stage.caps["total_usd"] = "1"
    assert all(outcome.done for outcome in stage.run(*pictures).values())
    assert stage.site.posts() == 6


def test_a_stop_releases_what_was_not_sent_and_leaves_the_rest_to_the_next_run(
    stage: Stage, name: str
) -> None:
    """Cancelled in the middle: nothing new is sent, and a second run pays for no clip again."""
    prompts = [workload.picture(f"{name}-{number}") for number in range(12)]
    stage.plan["rate_limit_per_minute"] = 300
    sent = asyncio.Event()

    def watch(point: str) -> None:
        if point == "submitted":
            sent.set()

    stage.plan["checkpoint"] = watch

    async def run() -> float:
        batch = asyncio.create_task(stage.generate(prompts))
        await sent.wait()
        batch.cancel()
        asked = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await batch
        return time.monotonic() - asked

    assert asyncio.run(run()) < 8
    posts = stage.site.posts()
    assert posts < 12
    left = Counter(stage.states())
    assert left["reserved"] == 0
    assert 1 <= left["refused"] <= 12 - posts
    held = sum(intent.reserved_microusd for intent in stage.intents())
    assert held == PRICE * sum(intent.is_open for intent in stage.intents())

    stage.plan.clear()
    outcomes = stage.run(*prompts)
    assert all(outcome.done for outcome in outcomes.values())
    assert stage.site.posts() == 12
    assert open_intents(stage) == []


def test_a_stop_while_all_reserve_leaves_no_money_set_aside(stage: Stage, name: str) -> None:
    """Cancelled before anything was sent: everything that was set aside is back."""
    prompts = [workload.picture(f"{name}-{number}") for number in range(20)]
    begun = asyncio.Event()
    stage.plan["checkpoint"] = lambda _: begun.set()
    stage.plan["rate_limit_per_minute"] = 6

    async def run() -> None:
        batch = asyncio.create_task(stage.generate(prompts))
        await begun.wait()
        batch.cancel()
        with pytest.raises(asyncio.CancelledError):
            await batch

    asyncio.run(run())
    assert set(stage.states()) <= {"refused", "submitting", "submitted"}
    unsent = [intent for intent in stage.intents() if intent.state is IntentState.REFUSED]
    assert len(unsent) >= len(stage.states()) - 2
    assert all(intent.reserved_microusd == 0 for intent in unsent)


def test_a_forced_run_pays_again_once_and_supersedes(stage: Stage, name: str) -> None:
    """Force makes a new clip for each generation, not for each prompt that shows it."""
    first = workload.picture(name)
    twin = replace(first, prompt_id=f"{name}-twin")
    old = stage.run(first)[name].landed[0].clip
    stage.plan["pay_again_before"] = datetime.now(UTC)
    new = stage.run(first, twin)
    assert stage.site.posts() == 2
    clips = [new[prompt.prompt_id].landed[0].clip for prompt in (first, twin)]
    assert {clip.intent_id for clip in clips} != {old.intent_id}
    assert [intent.attempt for intent in stage.intents()] == [1, 2]
    # A retry of the same forced run finds what it has paid for.
    stage.run(first, twin)
    assert stage.site.posts() == 2


@pytest.mark.parametrize("trouble", ["gone", "changed"])
def test_a_reference_that_is_gone_costs_nothing_and_stops_nobody(
    stage: Stage, pictures: list[Prompt], trouble: str
) -> None:
    """The file was there when the prompts were read: its prompt fails, the others land."""
    path = stage.site.folder / "ref.png"
    path.write_bytes(b"picture")
    bad = replace(
        pictures[0],
        model=FLUX_DEV,
        inputs={},
        reference="ref.png",
        reference_sha256=hashlib.sha256(b"picture").hexdigest(),
    )
    if trouble == "gone":
        path.unlink()
    else:
        path.write_bytes(b"another")
    outcomes = stage.run(bad, *pictures[1:])
    assert classes(outcomes.pop(bad.prompt_id)) == ["invalid_input"]
    assert all(outcome.done for outcome in outcomes.values())
    (intent,) = stage.intents(lambda intent: intent.prompt_id == bad.prompt_id)
    assert (intent.state, intent.reserved_microusd) == (IntentState.REFUSED, 0)


def test_a_ledger_that_stays_busy_ends_the_batch_with_a_sentence(
    stage: Stage, pictures: list[Prompt], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the ledger nothing can be recorded; the next run goes on where this one ended."""
    monkeypatch.setattr(engine_module, "_BUSY_SECONDS", 0)
    database = make_url(stage.site.ledger_url).database or ""
    stage.ledger().close()
    holding: list[sqlite3.Connection] = []
    lock = threading.Lock()

    def hold(point: str) -> None:
        with lock:
            if point == "submitted" and not holding:
                other = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
                other.execute("BEGIN IMMEDIATE")
                holding.append(other)

    stage.plan["checkpoint"] = hold
    with pytest.raises(LedgerError, match="locked"):
        stage.run(*pictures)
    holding[0].execute("ROLLBACK")
    holding[0].close()
    monkeypatch.undo()
    stage.plan.clear()
    _bury_this_worker(stage)
    outcomes = stage.run(*pictures)
    assert all(outcome.done for outcome in outcomes.values())
    paid = [line for line in stage.site.charges() if line["charge_micro_usd"]]
    assert len(paid) == len(pictures)


def test_an_acceptance_that_could_not_be_recorded_is_found_again(
    stage: Stage, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within one session: the create went out, the ledger failed, the next try adopts it."""
    prompt = workload.picture(name)

    async def run() -> None:
        ledger = stage.ledger()
        async with stage.session(ledger) as paid_call, asyncio.timeout(60):
            with monkeypatch.context() as patch:

                def fail(*_: object) -> Intent:
                    raise LedgerError("The ledger is busy.")

                patch.setattr(ledger, "accept", fail)
                with pytest.raises(LedgerError):
                    await paid_call.land(request_for(prompt))
            landed = await paid_call.land(request_for(prompt))
            assert not landed.cached

    asyncio.run(run())
    assert stage.site.posts() == 1
    assert stage.states() == ["delivered"]


def test_a_get_that_is_told_to_wait_for_hours_does_not(stage: Stage, name: str) -> None:
    """A Retry-After of 9,999 seconds is not slept on: asking is free."""
    stage.clock = SystemClock()
    throttled = {"fault": "rate_limited", "params": {"retry_after": 9999}}
    stage.site.fault(
        {**throttled, "match": {"route": "get", "prompt": name}, "times": 2},
        {**throttled, "match": {"route": "list"}, "times": 2},
    )
    started = time.monotonic()
    assert stage.run(workload.picture(name))[name].done
    assert stage.site.struck("rate_limited") >= 2
    assert time.monotonic() - started < 30


@pytest.mark.parametrize(("asked", "again"), [(600, True), (9999, False)])
def test_a_create_that_is_told_to_wait_long_is_left_to_the_retry(
    stage: Stage, name: str, asked: int, *, again: bool
) -> None:
    """A step does not sleep for minutes: it ends with the wait, and hours are for another run."""
    stage.site.fault(
        {"fault": "rate_limited", "match": {"prompt": name}, "params": {"retry_after": asked}}
    )
    (failure,) = stage.run(workload.picture(name))[name].failures
    assert (failure.error_class, failure.retry_after) == ("rate_limit", asked)
    assert (failure.again_after is not None) is again
    assert again is False or 590 < (failure.again_after or 0) <= 600


def test_many_prompts_that_show_one_clip_draw_its_preview_in_peace(stage: Stage, name: str) -> None:
    """The shelf of previews was removed: ten prompts draw the same one at once, none fails."""
    first = workload.picture(name)
    stage.run(first)
    twins = [replace(first, prompt_id=f"{name}-{number}") for number in range(10)]
    for _ in range(3):
        shutil.rmtree(stage.site.folder / "previews")
        outcomes = stage.run(first, *twins)
        assert all(outcome.done for outcome in outcomes.values()), [
            failure for outcome in outcomes.values() for failure in outcome.failures
        ]
    assert stage.site.posts() == 1
    assert not list((stage.site.folder / "scratch").iterdir())


@pytest.mark.parametrize("trouble", ["gone", "spoilt"])
def test_a_stored_clip_that_is_lost_is_the_stores_failure(
    stage: Stage, name: str, trouble: str
) -> None:
    """Nobody is told to correct a prompt when it is the store that lost the clip."""
    prompt = workload.picture(name)
    clip = stage.run(prompt)[name].landed[0].clip
    shutil.rmtree(stage.site.folder / "previews")
    stored = stage.site.folder / "clips" / clip.object_key
    stored.unlink()
    if trouble == "spoilt":
        stored.write_bytes(b"this is no picture")
    assert classes(stage.run(prompt)[name]) == ["server_error"]
    assert stage.site.posts() == 1


def test_a_reader_that_stops_early_stops_the_batch(stage: Stage, name: str) -> None:
    """Leaving the loop after the first outcome cancels the rest and puts it in order."""
    prompts = [workload.picture(f"{name}-{number}") for number in range(8)]
    stage.max_in_flight = 2

    async def first() -> PromptOutcome:
        async with stage.session() as paid_call:
            outcomes = stage.batch(paid_call).run(prompts, len(prompts))
            outcome = await anext(outcomes)
            await outcomes.aclose()  # type: ignore[attr-defined]
            return outcome

    assert asyncio.run(first()).done
    assert "reserved" not in stage.states()
    assert all(outcome.done for outcome in stage.run(*prompts).values())
    assert len([line for line in stage.site.charges() if line["charge_micro_usd"]]) == 8


def test_a_session_closes_what_it_opened(stage: Stage, name: str) -> None:
    """After a batch no thread of ours is left, and the worker has ended."""
    stage.run(workload.picture(name))
    ours = [
        t.name for t in threading.enumerate() if t.name.startswith(("ledger", "decode", "store"))
    ]
    assert ours == []
    (intent,) = stage.intents()
    books = stage.ledger()
    assert not books.is_alive(intent.worker_id)
    books.close()


@pytest.mark.parametrize("step", ["start_worker", "end_worker"])
def test_a_session_that_breaks_closes_its_provider(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """A ledger that fails as the session opens or closes leaves no connection open."""
    closed: list[bool] = []

    async def aclose(provider: ReplicateProvider) -> None:
        closed.append(True)
        await close(provider)

    def fail(*_: object) -> str:
        raise LedgerError("The ledger is busy.")

    close = ReplicateProvider.aclose
    monkeypatch.setattr(ReplicateProvider, "aclose", aclose)
    ledger = stage.ledger()
    monkeypatch.setattr(ledger, step, fail)

    async def run() -> None:
        async with stage.session(ledger):
            pass

    with pytest.raises(LedgerError):
        asyncio.run(run())
    assert closed == [True]


def _bury_this_worker(stage: Stage) -> None:
    """What a process that died with the batch would be: nobody's any more."""
    books = stage.ledger()
    for worker_id in {intent.worker_id for intent in stage.intents()}:
        books.end_worker(worker_id)
    books.close()


class _SleepyClock(SystemClock):
    """The clock of a machine that can be put to sleep."""

    slept = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self.slept


def test_a_process_that_stood_still_before_its_send_sends_nothing(site: Site) -> None:
    """Another machine may have taken its intent over meanwhile: the money goes back, no POST."""
    clock = _SleepyClock()

    def sleep(checkpoint: str) -> None:
        if checkpoint == "submitting":
            clock.slept += timedelta(minutes=2)

    stage = Stage(site, plan={"checkpoint": sleep}, clock=clock, rules=no_retries())
    (prompt,) = workload.mixed(1)
    outcome = stage.run(replace(prompt, variants=1))[prompt.prompt_id]
    assert classes(outcome) == ["network"]
    assert stage.states() == ["refused"]
    assert site.posts() == 0
