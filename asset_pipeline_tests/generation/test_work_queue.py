"""Whose turn it is: waiting gives its place away, and alone it does not keep the step."""

from __future__ import annotations

import asyncio

import pytest

from asset_pipeline.clock import SystemClock
from asset_pipeline.generation.work_queue import DelayQueue
from asset_pipeline_tests.support.clocks import FakeClock


def test_new_work_comes_before_what_waits() -> None:
    """A piece that waits keeps nobody from beginning another."""

    async def run() -> list[str]:
        clock = FakeClock()
        turns = DelayQueue(iter("ab"), clock)
        first = await turns.next()
        assert first == "a"
        turns.again(first, 5, here=False)
        order = [await turns.next()]
        clock.advance(5)
        order.append(await turns.next())
        return [piece or "" for piece in order]

    assert asyncio.run(run()) == ["b", "a"]


def test_waiting_is_waited_for_while_others_are_under_way() -> None:
    """A second worker with nothing to do waits for the piece, since the first is still at work."""

    async def run() -> str | None:
        turns = DelayQueue(iter("ab"), FakeClock())
        await turns.next()
        waiting = await turns.next()
        assert waiting == "b"
        turns.again(waiting, 5, here=False)
        return await turns.next()

    assert asyncio.run(run()) == "b"


@pytest.mark.parametrize("here", [False, True])
def test_when_only_waiting_is_left_the_step_ends_unless_it_is_to_wait(*, here: bool) -> None:
    """What waits is handed over with its seconds; a breaker's wait is waited for in the step."""

    async def run() -> tuple[str | None, list[tuple[str, float]]]:
        turns = DelayQueue(iter("a"), FakeClock())
        piece = await turns.next()
        assert piece == "a"
        turns.again(piece, 5, here=here)
        return await turns.next(), turns.left()

    assert asyncio.run(run()) == (("a", []) if here else (None, [("a", 5)]))


def test_the_end_of_the_last_one_lets_the_others_go() -> None:
    """Workers that wait for a piece's time stop as soon as nothing is under way any more."""

    async def run() -> tuple[str | None, list[tuple[str, float]]]:
        turns = DelayQueue(iter("ab"), SystemClock())
        await turns.next()
        waiting = await turns.next()
        assert waiting == "b"
        turns.again(waiting, 3600, here=False)
        idle = asyncio.create_task(turns.next())
        await asyncio.sleep(0.01)
        assert not idle.done()
        turns.done()
        return await asyncio.wait_for(idle, 30), turns.left()

    piece, left = asyncio.run(run())
    assert piece is None
    assert [name for name, _ in left] == ["b"]
