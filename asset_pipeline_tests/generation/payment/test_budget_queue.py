"""Work that does not fit now waits for held money, in the order of coming."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal

import pytest

from asset_pipeline.catalog.reader import Catalog
from asset_pipeline.catalog.spec import PriceRule, PriceUnit
from asset_pipeline.generation.payment.budget_queue import BudgetQueue
from asset_pipeline.ledger.ledger import Payer
from asset_pipeline.ledger.postings import BudgetExceededError, ComingBack
from asset_pipeline.ledger.records import Intent
from asset_pipeline.ledger.schema import IntentState
from asset_pipeline.money import MicroUsd
from asset_pipeline.prompts.spec import Prompt
from asset_pipeline_tests.conftest import NewLedger
from asset_pipeline_tests.support.clocks import FakeClock
from asset_pipeline_tests.support.crash import workload
from asset_pipeline_tests.support.crash.site import Site
from asset_pipeline_tests.support.generation_samples import CATALOG
from asset_pipeline_tests.support.ledger_invariants import violations
from asset_pipeline_tests.support.ledgers import Books, dollars, new_intent
from asset_pipeline_tests.support.retry_rules import no_retries
from asset_pipeline_tests.support.stage import Stage, classes

# For the longest time of 300 seconds it is $0.585; what the sandbox makes takes a fifth of one.
A_SECOND = Decimal("0.00195")
WORST = 585_000


def by_the_second(catalog: Catalog = CATALOG) -> Catalog:
    """The catalog, with pictures at a price by the second."""
    rule = PriceRule(
        unit=PriceUnit.PREDICT_SECOND, usd=A_SECOND, effective=date(2026, 1, 1), source="a test"
    )
    model = catalog.get(workload.PICTURES).model_copy(update={"prices": (rule,)})
    return Catalog({**catalog.models, model.name: model})


@pytest.fixture
def stage(site: Site) -> Iterator[Stage]:
    """A stage whose pictures are paid by the second; its books balance at the end."""
    stage = Stage(site, catalog=by_the_second())
    yield stage
    ledger = stage.ledger()
    assert violations(ledger.engine) == []
    ledger.close()


def _pictures(name: str, count: int) -> list[Prompt]:
    return [workload.picture(f"{name[:70]}-{number}") for number in range(count)]


def test_a_small_cap_makes_all_that_it_can_pay_for(stage: Stage, name: str) -> None:
    """A dollar reserves one clip at a time and pays for hundreds: all eight are made."""
    stage.plan["run_cap"] = MicroUsd(1_000_000)
    outcomes = stage.run(*_pictures(name, 8))
    assert all(outcome.done for outcome in outcomes.values())
    assert sum(outcome.paid for outcome in outcomes.values()) < 8 * 10_000
    assert stage.site.posts() == 8
    assert any(progress.waiting() >= 0 for progress in stage.progress)


def test_what_can_never_fit_is_refused_at_once(stage: Stage, name: str) -> None:
    """A cap below the worst case of one: nothing is held that could help, and nothing is sent."""
    stage.caps["total_usd"] = dollars(WORST - 1)
    started = time.monotonic()
    outcomes = stage.run(*_pictures(name, 4))
    assert [classes(outcome) for outcome in outcomes.values()] == [["budget"]] * 4
    assert time.monotonic() - started < 5
    assert stage.site.posts() == 0


def test_money_that_a_question_or_a_dead_process_holds_is_not_waited_for(
    stage: Stage, name: str
) -> None:
    """Nobody is at it, so it does not come back by itself: the clip is refused, and says so."""
    stage.caps["total_usd"] = dollars(WORST + 10)
    ledger = stage.ledger()
    dead = ledger.start_worker("dead")
    lost = ledger.reserve(new_intent("lost", price=WORST), Payer("dead", dead))
    assert isinstance(lost, Intent)
    ledger.ask(ledger.lose_reply(ledger.start_submitting(lost), "gone"), "which one?")
    ledger.close()
    (outcome,) = stage.run(*_pictures(name, 1)).values()
    assert classes(outcome) == ["budget"]
    assert "$0.585 is held by what nobody is at" in outcome.failures[0].message


def test_money_of_a_clip_that_was_given_up_for_now_is_not_waited_for(
    stage: Stage, name: str
) -> None:
    """A living process that can't finish a clip now lets go of it: others see that nobody is at it.

    Waiting for it, while its own process waited for its turn behind them, eight processes that
    shared a cap hung until the intent had been silent for twenty minutes.
    """
    stage.caps["total_usd"] = dollars(WORST + 10)
    stage.rules = no_retries()
    stage.site.fault(
        {"fault": "lost_reply_after", "times": 1},
        {"fault": "error_5xx_before", "match": {"route": "list"}},
    )

    async def given_up() -> tuple[list[str], BudgetExceededError]:
        async with stage.session() as paid_call:
            run = stage.batch(paid_call).run(_pictures(name, 1), 1)
            (outcome,) = [outcome async for outcome in run]
            ledger = stage.ledger()
            other = Payer("other", ledger.start_worker("other"))
            with pytest.raises(BudgetExceededError) as breach:
                ledger.reserve(new_intent("b", price=WORST), other)
            ledger.close()
            return classes(outcome), breach.value

    found, breach = asyncio.run(given_up())
    assert found == ["network"]
    assert (breach.held, breach.coming_back) == (WORST, None)


def test_a_create_that_a_dead_process_had_on_the_wire_is_nobodys(stage: Stage, name: str) -> None:
    """Reconciling one clip settles that the others' answers are lost, and takes none of them up."""
    ledger = stage.ledger()
    gone = ledger.start_worker("gone")
    left = ledger.reserve(new_intent("left"), Payer("gone", gone))
    assert isinstance(left, Intent)
    ledger.start_submitting(left)
    ledger.end_worker(gone)
    ledger.close()
    stage.site.fault({"fault": "lost_reply_after", "times": 1})
    (outcome,) = stage.run(*_pictures(name, 1)).values()
    assert outcome.done
    ((state, worker),) = [
        (each.state, each.worker_id) for each in stage.intents() if each.intent_id == left.intent_id
    ]
    assert (state, worker) == (IntentState.UNKNOWN, "")


def test_an_intent_is_taken_up_once_and_only_as_it_stands(stage: Stage) -> None:
    """Of two tasks that found the same open intent one goes on, and none with what has changed."""

    async def taken() -> tuple[Intent | None, ...]:
        ledger = stage.ledger()
        async with stage.session(ledger) as paid_call:
            gone = Payer("gone", ledger.start_worker("gone"))
            found, moved = (ledger.reserve(new_intent(n), gone) for n in "ab")
            assert isinstance(found, Intent)
            assert isinstance(moved, Intent)
            now = ledger.let_go(found), ledger.let_go(moved)
            ledger.start_submitting(now[1])
            return tuple(
                await asyncio.gather(*(paid_call.take_up(each) for each in (now[0], *now)))
            )

    first, second, moved = asyncio.run(taken())
    assert (first is None) != (second is None)
    assert moved is None


def test_a_refusal_of_the_dear_leaves_the_cheap(stage: Stage, name: str) -> None:
    """A clip that no money could buy stops those that cost as much, and no cheaper one."""
    stage.caps["total_usd"] = dollars(WORST - 1)
    dear = _pictures(name, 1)
    spoken = [workload.speech(f"{name[:60]}-said-{number}") for number in range(3)]
    outcomes = stage.run(*dear, *spoken)
    assert [outcome.done for outcome in outcomes.values()].count(True) == 3
    assert classes(outcomes[dear[0].prompt_id]) == ["budget"]


def test_a_stop_while_it_waits_is_prompt(stage: Stage, name: str) -> None:
    """Whoever waits for money holds none, and ends at once when the batch does."""
    stage.plan["run_cap"] = MicroUsd(1_000_000)

    async def stopped() -> float:
        async with stage.session() as paid_call:
            run = stage.batch(paid_call).run(_pictures(name, 6), 6)
            task = asyncio.ensure_future(anext(run))  # pyright: ignore[reportArgumentType]
            await _until(lambda: paid_call.waiting >= 5)
            began = time.monotonic()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await run.aclose()  # pyright: ignore[reportAttributeAccessIssue]
            return time.monotonic() - began

    assert asyncio.run(stopped()) < 3


async def _until(holds: Callable[[], bool]) -> None:
    for _ in range(3000):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came to that")


class _Purse:
    """Money by hand: what is asked for beyond it comes back one day."""

    def __init__(self, amount: int) -> None:
        self.amount = amount
        self.asked: list[str] = []
        self.got: list[str] = []

    async def take(self, name: str, needed: int) -> str:
        await asyncio.sleep(0)
        self.asked.append(name)
        if needed > self.amount:
            raise BudgetExceededError(
                "total",
                headroom=MicroUsd(self.amount),
                needed=MicroUsd(needed),
                coming_back=ComingBack(here=1, elsewhere=0),
            )
        self.amount -= needed
        self.got.append(name)
        return name


def test_those_who_wait_are_served_in_the_order_of_coming() -> None:
    """A dear clip that came first gets its money first, though cheaper ones would fit before."""

    async def serve() -> list[str]:
        purse, queue = _Purse(0), BudgetQueue(FakeClock(), 1000.0, lambda: True)
        names = {"dear": 10, "cheap": 1, "cheaper": 0}

        async def get(name: str) -> None:
            await queue.reserve(frozenset({"total"}), lambda: purse.take(name, names[name]))

        first = asyncio.ensure_future(get("dear"))
        await _until(lambda: queue.waiting > 0)
        others = [asyncio.ensure_future(get(name)) for name in ("cheap", "cheaper")]
        for coins in range(12):
            purse.amount += 1
            queue.tell()
            for _ in range(5):
                await asyncio.sleep(0)
            if coins < 9:
                assert purse.got == []
        await asyncio.gather(first, *others)
        assert queue.waiting == 0
        return purse.got

    assert asyncio.run(serve()) == ["dear", "cheap", "cheaper"]


def test_another_collections_clips_do_not_wait_for_its_cap() -> None:
    """A clip waits behind those alone that wait for a budget of its own."""

    async def serve() -> str:
        purse, queue = _Purse(0), BudgetQueue(FakeClock(), 1000.0, lambda: True)

        async def poor() -> str:
            raise BudgetExceededError(
                "collection:poor",
                headroom=MicroUsd(0),
                needed=MicroUsd(1),
                coming_back=ComingBack(1, 0),
            )

        waiting = asyncio.ensure_future(
            queue.reserve(frozenset({"total", "collection:poor"}), poor)
        )
        await _until(lambda: queue.waiting > 0)
        rich = frozenset({"total", "collection:rich"})
        got = await queue.reserve(rich, lambda: purse.take("rich", 0))
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        return got

    assert asyncio.run(serve()) == "rich"


def test_a_process_that_came_later_does_not_pass(new_ledger: NewLedger) -> None:
    """Two processes on one cap: what comes back goes to the one that waited, dear as it is."""
    url, clock = new_ledger(), FakeClock()
    early, late = Books(url, clock), Books(url, clock)
    for books in (early, late):
        books.caps["total_usd"] = dollars(10_000)
    first, second = early.reserve("one", price=6000), early.reserve("two", price=4000)
    with pytest.raises(BudgetExceededError) as caught:
        early.reserve("dear", price=9000)
    assert caught.value.coming_back is not None
    early.ledger.refuse(second, "network", "no")
    with pytest.raises(BudgetExceededError) as caught:
        late.reserve("cheap", price=1000)
    assert caught.value.coming_back is not None
    assert caught.value.coming_back.again
    early.ledger.refuse(first, "network", "no")
    assert early.reserve("dear", price=9000).reserved_microusd == 9000
    assert late.reserve("cheap", price=1000).reserved_microusd == 1000
    for books in (early, late):
        books.close()


def test_a_process_that_is_gone_holds_nobody_up(new_ledger: NewLedger) -> None:
    """A place in the order is kept by asking: after ten silent seconds it is nobody's."""
    url, clock = new_ledger(), FakeClock()
    early, late = Books(url, clock), Books(url, clock)
    for books in (early, late):
        books.caps["total_usd"] = dollars(10_000)
    early.reserve("one", price=6000)
    with pytest.raises(BudgetExceededError):
        early.reserve("dear", price=9000)
    clock.advance(11)
    assert late.reserve("cheap", price=1000).reserved_microusd == 1000
    for books in (early, late):
        books.close()


def test_a_place_of_the_future_holds_nobody_up(new_ledger: NewLedger) -> None:
    """A process that waits dies while its clock is an hour ahead: the budget is free at once."""
    url, clock, ahead = new_ledger(), FakeClock(), FakeClock()
    ahead.advance(3600)
    early, late = Books(url, ahead), Books(url, clock)
    for books in (early, late):
        books.caps["total_usd"] = dollars(10_000)
    first = early.reserve("one", price=6000)
    with pytest.raises(BudgetExceededError):
        early.reserve("dear", price=9000)
    early.ledger.refuse(first, "network", "no")
    assert late.reserve("cheap", price=1000).reserved_microusd == 1000
    for books in (early, late):
        books.close()


def test_a_final_refusal_names_the_budget_that_can_not_bear_it(new_ledger: NewLedger) -> None:
    """Where one budget would come free and another never, the other is named, and nobody waits."""
    books = Books(new_ledger(), collections_usd={"kit": dollars(5000)}, total_usd=dollars(10_000))
    books.reserve("held", price=9000, collection="other")
    with pytest.raises(BudgetExceededError) as caught:
        books.reserve("too dear", price=6000)
    assert (caught.value.budget, caught.value.coming_back) == ("collection:kit", None)
    books.close()


def test_a_request_keeps_its_place_through_a_new_day(new_ledger: NewLedger) -> None:
    """What waited for yesterday's budget falls under today's, and gets what it needs there."""
    clock = FakeClock()
    books = Books(new_ledger(), clock, daily_usd=dollars(5000))
    books.reserve("held", price=4000)
    with pytest.raises(BudgetExceededError) as caught:
        books.reserve("late", price=4000)
    assert caught.value.coming_back is not None
    clock.advance(86_400)
    assert books.reserve("late", price=4000).reserved_microusd == 4000
    books.close()
