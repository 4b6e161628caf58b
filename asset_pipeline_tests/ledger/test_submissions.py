"""Orders in the ledger: taken once, launched together, settled one by one."""

from __future__ import annotations

import threading
import time

import pytest

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.clock import SystemClock
from asset_pipeline.ledger.api_keys import ApiKeys, NewKey, scopes_from
from asset_pipeline.ledger.engine import open_engine
from asset_pipeline.ledger.request_rates import RequestRates
from asset_pipeline.ledger.service_schema import ItemState, JobState
from asset_pipeline.ledger.submissions import (
    Answer,
    IdempotencyKey,
    IdempotencyKeyReusedError,
    NewItem,
    NewSubmission,
    PromptTakenError,
    Settled,
    Submissions,
)
from asset_pipeline.money import MicroUsd
from asset_pipeline_tests.conftest import NewLedger
from asset_pipeline_tests.support.clocks import FakeClock


def _new(*prompt_ids: str, owner: str = "local", text: str = "A tree") -> NewSubmission:
    items = [NewItem(Kind.IMAGE, each, "api", 1, {"id": each, "text": text}) for each in prompt_ids]
    return NewSubmission(owner, None, "request", items, len(items), 0, MicroUsd(3000))


def _answer(submission_id: str) -> Answer:
    return Answer(202, {"id": submission_id}, f"/jobs/{submission_id}")


def _submit(submissions: Submissions, *prompt_ids: str) -> str:
    answer, _ = submissions.submit(_new(*prompt_ids), _answer)
    return str(answer.body["id"])


def test_of_many_who_use_one_key_at_once_one_orders(new_ledger: NewLedger) -> None:
    """Twelve threads with connections of their own get one answer; one submission is there."""
    url = new_ledger()
    key = IdempotencyKey("k", "hash")
    answers: list[object] = []
    ready = threading.Barrier(12)

    def ask() -> None:
        engine = open_engine(url)
        ready.wait()
        answers.append(Submissions(engine, SystemClock()).submit(_new("a"), _answer, key)[0].body)
        engine.dispose()

    threads = [threading.Thread(target=ask) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 12
    assert len({str(answer) for answer in answers}) == 1
    engine = open_engine(url)
    assert len(Submissions(engine, SystemClock()).of_owner(None, None, 100)) == 1
    with pytest.raises(IdempotencyKeyReusedError):
        Submissions(engine, SystemClock()).answer_to("local", IdempotencyKey("k", "other"))
    engine.dispose()


def test_a_refused_submission_leaves_nothing(new_ledger: NewLedger) -> None:
    """When one prompt is somebody else's, neither the others nor the key nor an answer stay."""
    engine = open_engine(new_ledger())
    submissions = Submissions(engine, SystemClock())
    submissions.submit(_new("mine"), _answer)
    key = IdempotencyKey("k", "hash")
    with pytest.raises(PromptTakenError):
        submissions.submit(_new("fresh", "mine", owner="key:x", text="Other"), _answer, key)
    assert submissions.answer_to("key:x", key) is None
    assert submissions.of_owner("key:x", None, 10) == []
    assert submissions.waiting() == 1
    engine.dispose()


def test_what_waits_goes_into_one_launch_and_is_settled_apart(new_ledger: NewLedger) -> None:
    """Two orders share a run; each ends as its own prompts did, and numbers its own events."""
    engine = open_engine(new_ledger())
    submissions = Submissions(engine, SystemClock())
    first, second = _submit(submissions, "a", "b"), _submit(submissions, "b", "c")
    launch = submissions.take_up(Kind.IMAGE, "image_clips", 1000)
    assert launch is not None
    assert launch.prompt_ids == ("a", "b", "c")
    assert submissions.take_up(Kind.IMAGE, "image_clips", 1000) is None
    done = ItemState.COMPLETED
    submissions.settle(launch.launch_id, [Settled(Kind.IMAGE, "a", done)])
    submissions.settle(launch.launch_id, [Settled(Kind.IMAGE, "b", done)] * 2)
    assert submissions.end(launch.launch_id, "the run died") == 1
    states = [submissions.get(each).state for each in (first, second)]  # type: ignore[union-attr]
    assert states == [JobState.COMPLETED, JobState.PARTLY_FAILED]
    assert submissions.unended() == []
    numbers = [event.number for event in submissions.events(second, 0)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert submissions.events(second, 0)[-1].type == "job.partly_failed"
    engine.dispose()


def test_cancelling_while_it_is_taken_up_counts_each_prompt_once(new_ledger: NewLedger) -> None:
    """Whoever is faster, every prompt is either cancelled or launched, and the counts add up."""
    url = new_ledger()
    engine = open_engine(url)
    submissions = Submissions(engine, SystemClock())
    ids = [_submit(submissions, *(f"{n}-{m}" for m in range(5))) for n in range(10)]

    def cancel() -> None:
        other = open_engine(url)
        for each in ids:
            Submissions(other, SystemClock()).cancel(each, "a person")
        other.dispose()

    thread = threading.Thread(target=cancel)
    thread.start()
    launches = [submissions.take_up(Kind.IMAGE, "image_clips", 7) for _ in range(10)]
    thread.join()
    for launch in filter(None, launches):
        submissions.end(launch.launch_id, "ended")
    for each in ids:
        job = submissions.get(each)
        assert job is not None
        assert (job.running, job.queued) == (0, 0)
        assert job.cancelled + job.failed == 5
        assert job.finished_at is not None
    engine.dispose()


def test_ten_thousand_prompts_are_taken_in_seconds(new_ledger: NewLedger) -> None:
    """A batch of the largest size is one transaction of a few seconds, and ten launches."""
    engine = open_engine(new_ledger())
    submissions = Submissions(engine, SystemClock())
    began = time.monotonic()
    taken = _submit(submissions, *(f"prompt-{n}" for n in range(10_000)))
    launches = 0
    while submissions.take_up(Kind.IMAGE, "image_clips", 1000) is not None:
        launches += 1
    assert launches == 10
    assert submissions.get(taken).running == 10_000  # type: ignore[union-attr]
    assert time.monotonic() - began < 60
    engine.dispose()


def test_a_minutes_requests_are_exact_over_processes(
    new_ledger: NewLedger, clock: FakeClock
) -> None:
    """Of a hundred requests through several connections sixty pass, and more as time does."""
    url = new_ledger()
    engines = [open_engine(url) for _ in range(4)]
    granted: list[int] = []

    def ask(rates: RequestRates) -> None:
        granted.extend(rates.take({"key:a": (1, 60)})["key:a"].granted for _ in range(25))

    threads = [
        threading.Thread(target=ask, args=(RequestRates(engine, clock),)) for engine in engines
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(granted) == 60
    rates = RequestRates(engines[0], clock)
    assert 0 < rates.take({"key:a": (1, 60)})["key:a"].retry_after <= 1
    clock.advance(3)
    assert rates.take({"key:a": (5, 60)})["key:a"].granted == 3
    assert rates.take({"key:b": (5, 60)})["key:b"].granted == 5
    for engine in engines:
        engine.dispose()


def test_a_key_holds_until_it_expires_or_is_revoked(
    new_ledger: NewLedger, clock: FakeClock
) -> None:
    """An expired or revoked key opens nothing, nor do the sessions that it opened."""
    engine = open_engine(new_ledger())
    keys = ApiKeys(engine, clock)
    key, text = keys.create(NewKey("a", scopes_from(["read"]), "tests"))
    token, _ = keys.open_session(key)
    assert keys.check(text) == keys.session(token) == key
    assert keys.check(text[:-1]) is None
    assert keys.check(text + "x") is None
    assert keys.check(text.replace("ap_", "xx_", 1)) is None
    keys.revoke(key.key_id)
    assert keys.check(text) is keys.session(token) is None
    engine.dispose()
