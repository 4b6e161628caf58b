"""Calls to language models: each is sent once, charged truly, and never below what was billed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NoReturn

import pytest

from asset_pipeline.clock import SystemClock
from asset_pipeline.drafting.drafter import Drafter
from asset_pipeline.drafting.paid_chat import ChatFailedError, PaidChat, Payment
from asset_pipeline.ledger.budgets import BudgetCaps
from asset_pipeline.ledger.llm_calls import CallInFlightError, LostCallError
from asset_pipeline.ledger.llm_schema import Evidence
from asset_pipeline.ledger.postings import BudgetExceededError
from asset_pipeline.money import MicroUsd
from asset_pipeline_tests.drafting.conftest import Desk


async def _posted(desk: Desk) -> None:
    """Wait until a call came in over the wire."""
    for _ in range(500):
        if desk.posts():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("nothing was sent")


def _pays_once_and_keeps(desk: Desk) -> None:
    first = desk.draft()
    assert len(first.file.proposals) == 3
    assert first.charged == desk.billed() > 0
    assert desk.books() == (first.charged, 0)
    second = desk.draft()
    assert second.is_cached
    assert (second.charged, desk.posts()) == (0, 1)
    assert second.file.proposals == first.file.proposals


def test_the_same_brief_twice_costs_nothing_the_second_time(desk: Desk) -> None:
    """The charge is what the provider billed, rounded up; the second draft sends nothing."""
    _pays_once_and_keeps(desk)


def test_it_is_the_same_on_postgres(desk_on_postgres: Desk) -> None:
    """The ledger on Postgres keeps calls as the one on SQLite does."""
    _pays_once_and_keeps(desk_on_postgres)
    desk_on_postgres.fault("lost_reply_before")
    with pytest.raises(ChatFailedError):
        desk_on_postgres.draft(count=2)
    assert [call.charged for call in desk_on_postgres.settle()] == [0]
    desk_on_postgres.books()


@pytest.mark.parametrize(
    ("fault", "params", "error_class"),
    [
        ("lost_reply_before", {}, "reply_lost"),
        ("lost_reply_after", {}, "reply_lost"),
        ("error_5xx_before", {"status": 503}, "reply_lost"),
        ("error_5xx_after", {"status": 502}, "reply_lost"),
        ("rate_limited", {"retry_after": 7}, "refused"),
        ("insufficient_credit", {}, "refused"),
        ("unauthenticated", {}, "refused"),
        ("chat_error", {}, "provider_error"),
        ("chat_cut", {}, "answer_cut"),
        ("chat_wrong_schema", {}, "wrong_schema"),
        ("chat_refusal", {}, "content_refused"),
        ("chat_truncated", {}, "truncated"),
        ("chat_drip", {"seconds": 30}, "reply_lost"),
    ],
)
def test_no_fault_leads_to_a_second_post_or_a_charge_too_low(
    desk: Desk, fault: str, params: dict[str, object], error_class: str
) -> None:
    """One POST, the class of the fault, and a ledger at the bill or above it and saying so."""
    desk.call_seconds = 1.0
    desk.fault(fault, **params)
    with pytest.raises(ChatFailedError) as failed:
        desk.draft()
    assert failed.value.error_class == error_class
    assert desk.posts() == 1
    charged, reserved = desk.books()
    assert reserved == 0
    assert charged >= desk.billed()
    unproved = desk.calls().unproved()
    if error_class == "reply_lost":
        assert [call.charged for call in unproved] == [charged]
        assert unproved[0].worst_case == charged > desk.billed()
        assert "worst case" in (unproved[0].note or "")
        with pytest.raises(LostCallError):
            desk.draft()
        assert desk.posts() == 1
    else:
        assert (charged, unproved) == (desk.billed(), [])
    desk.settle()
    assert desk.books() == (desk.billed(), 0)


def test_a_lost_call_that_was_never_made_may_be_sent_again(desk: Desk) -> None:
    """Once the key's usage proves that nothing was spent, the next draft sends it."""
    desk.fault("lost_reply_before")
    with pytest.raises(ChatFailedError):
        desk.draft()
    assert desk.settle(seconds=3600) == []  # too early: the provider may not have counted it yet
    assert [call.charged for call in desk.settle()] == [0]
    desk.sandbox.http.delete("/sandbox/faults")
    assert desk.draft().charged == desk.billed() > 0
    desk.books()


def test_a_lost_call_that_was_made_is_sent_again_only_on_demand(desk: Desk) -> None:
    """Its price is proved, and a person who says --again pays for a second one."""
    desk.fault("lost_reply_after")
    with pytest.raises(ChatFailedError):
        desk.draft()
    desk.settle()
    desk.sandbox.http.delete("/sandbox/faults")
    with pytest.raises(LostCallError):
        desk.draft()
    assert desk.draft(again=True).charged > 0
    assert (desk.posts(), desk.books()[0]) == (2, desk.billed())


def test_another_keys_usage_proves_nothing(desk: Desk) -> None:
    """What is lost under one key stays charged whatever another key has spent."""
    desk.fault("lost_reply_before")
    with pytest.raises(ChatFailedError):
        desk.draft()
    desk.key = "sk-or-another"
    assert desk.settle() == []
    assert desk.books()[0] > desk.billed() == 0


def test_other_calls_of_the_key_never_lower_a_charge_too_far(desk: Desk) -> None:
    """What the key spent on known calls meanwhile is no part of the lost one, and no more is."""
    desk.fault("lost_reply_after")
    with pytest.raises(ChatFailedError):
        desk.draft()
    desk.sandbox.http.delete("/sandbox/faults")
    desk.draft(count=2)
    desk.settle()
    assert desk.books()[0] == desk.billed()


def test_a_budget_without_room_sends_nothing(desk: Desk) -> None:
    """The llm line, the total and --max-usd each refuse the worst case before anything is sent."""
    desk.caps = BudgetCaps.model_validate({"llm_usd": "0.0001"})
    with pytest.raises(BudgetExceededError, match="'llm'"):
        desk.draft()
    desk.caps = BudgetCaps()
    with pytest.raises(BudgetExceededError, match="'run:run'"):
        desk.draft(max_usd=MicroUsd(10))
    assert (desk.posts(), desk.billed()) == (0, 0)


def test_an_invalid_key_is_refused_before_anything_is_sent(desk: Desk) -> None:
    """The key's usage is read first, so that a wrong key costs neither money nor a POST."""
    desk.key = "sk-or-wrong-key"
    with pytest.raises(ChatFailedError, match="refused"):
        desk.draft()
    assert (desk.posts(), desk.books()) == (0, (0, 0))


def test_a_stopped_call_is_charged_and_not_sent_again(desk: Desk) -> None:
    """A stop while the call is on its way is a lost reply: it may be paid for."""
    desk.fault("chat_drip", seconds=30)

    async def work(drafter: Drafter, _: PaidChat, payment: Payment) -> None:
        task = asyncio.create_task(drafter.draft(desk.brief(), {}, payment))
        await _posted(desk)
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    desk.run(work)
    (call,) = desk.calls().unproved()
    assert call.evidence is Evidence.WORST_CASE
    with pytest.raises(LostCallError):
        desk.draft()
    assert desk.posts() == 1
    desk.settle()
    assert desk.books() == (desk.billed(), 0)


_STEPS = ("reserved", "submitting", "answered", "recorded")


@pytest.mark.parametrize("step", _STEPS)
def test_what_a_killed_process_left_is_ended_by_the_next(desk: Desk, step: str) -> None:
    """Killed before the POST nothing is owed; killed after, the worst case is, until proved."""
    _killed_at(desk, step)


@pytest.mark.parametrize("step", _STEPS)
def test_kills_end_the_same_on_postgres(desk_on_postgres: Desk, step: str) -> None:
    """Each durable step is one transaction there too."""
    _killed_at(desk_on_postgres, step)


def _killed_at(desk: Desk, step: str) -> None:
    calls = desk.calls()
    # The worker ends with the session, which the ledger takes for a death: nobody drives the call.
    with pytest.raises(KeyboardInterrupt):
        desk.run(lambda drafter, chat, payment: _die_at(step, desk, drafter, chat, payment))
    charged, reserved = desk.books()
    posts = desk.posts()
    assert (reserved, posts) == (0, 0 if step in {"reserved", "submitting"} else 1)
    if step == "reserved":
        assert charged == 0
        assert desk.draft().charged > 0
    elif step == "recorded":
        report = desk.draft()
        assert report.is_cached
        assert len(report.file.proposals) == 3
    else:
        (call,) = calls.unproved()
        assert call.worst_case == charged > desk.billed()
        with pytest.raises(LostCallError):
            desk.draft()
        desk.settle()
    assert desk.posts() == max(posts, step == "reserved")
    assert desk.books() == (desk.billed(), 0)
    calls.close()


async def _die_at(
    step: str, desk: Desk, drafter: Drafter, chat: PaidChat, payment: Payment
) -> None:
    """Draft, and stop dead behind a step: nothing that comes after it is done."""
    own: Any = chat
    repository, provider = own._calls, own._provider

    def died(*_: object, **__: object) -> NoReturn:
        raise KeyboardInterrupt

    def then_die(done: Callable[..., object]) -> Callable[..., NoReturn]:
        def run(*arguments: Any, **named: Any) -> NoReturn:  # noqa: ANN401 -- whatever it takes
            done(*arguments, **named)
            raise KeyboardInterrupt

        return run

    match step:
        case "reserved":
            repository.begin = then_die(repository.begin)
        case "submitting":
            repository.start = then_die(repository.start)
        case "answered":
            answer = provider.complete

            async def complete(*arguments: Any) -> NoReturn:  # noqa: ANN401 -- whatever it takes
                await answer(*arguments)
                raise KeyboardInterrupt

            provider.complete = complete
            repository.lose = died  # what is dead writes nothing any more
        case _:
            repository.finish = then_die(repository.finish)
    await drafter.draft(desk.brief(), {}, payment)


def test_a_usage_that_fell_proves_nothing(desk: Desk) -> None:
    """A key that has spent less than before counts late, or anew: the worst case stays charged."""
    desk.draft()
    desk.fault("lost_reply_before")
    with pytest.raises(ChatFailedError):
        desk.draft(count=2)
    calls = desk.calls()
    (lost,) = calls.unproved()
    after = calls.prove(lost, Decimal(0), SystemClock().now())
    assert (after.charged, after.evidence) == (lost.worst_case, Evidence.WORST_CASE)
    calls.close()


def test_a_call_that_another_process_makes_is_left_to_it(desk: Desk) -> None:
    """Of two processes that ask the same at once one sends, and the other is told to wait."""
    desk.fault("slow", seconds=1)

    async def work(drafter: Drafter, _: PaidChat, payment: Payment) -> None:
        first = asyncio.create_task(drafter.draft(desk.brief(), {}, payment))
        await _posted(desk)
        with pytest.raises(CallInFlightError):
            await drafter.draft(desk.brief(), {}, payment)
        await first

    desk.run(work)
    assert desk.posts() == 1
