"""Telling Dagster of what landed: together while a batch runs, and to the last when it ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.defs.events import EventBatcher
from asset_pipeline.generation.batch import PromptOutcome
from asset_pipeline.prompts.spec import Prompt


def _outcome(prompt_id: str) -> PromptOutcome:
    return PromptOutcome(
        Prompt(
            kind=Kind.IMAGE,
            prompt_id=prompt_id,
            collection="kit",
            text="A tree",
            style="",
            model="",
            variants=1,
            inputs={},
            tags=(),
            reference=None,
            reference_sha256=None,
            path="",
        )
    )


class _Book:
    """Keeps what was told, write by write; the first write lasts until it is let go."""

    def __init__(self) -> None:
        self.writes: list[list[str]] = []
        self.begun = threading.Event()
        self.go = threading.Event()

    def tell(self, outcomes: Sequence[PromptOutcome]) -> None:
        self.begun.set()
        assert self.go.wait(30)
        self.writes.append([outcome.prompt.prompt_id for outcome in outcomes])


async def _until_begun(book: _Book) -> None:
    assert await asyncio.to_thread(book.begun.wait, 30)


def test_what_lands_during_a_write_is_told_together() -> None:
    """The first outcome is told at once; those that land meanwhile share the next write."""
    book = _Book()

    async def batch() -> None:
        teller = EventBatcher(book.tell)
        async with teller.telling():
            teller.add(_outcome("first"))
            await _until_begun(book)
            for name in ("second", "third", "fourth"):
                teller.add(_outcome(name))
            book.go.set()

    asyncio.run(batch())
    assert book.writes == [["first"], ["second", "third", "fourth"]]


def test_a_cancelled_batch_tells_of_all_that_landed() -> None:
    """What landed before a stop is told, and nothing is told twice."""
    book = _Book()

    async def batch(landed: asyncio.Event) -> None:
        teller = EventBatcher(book.tell)
        async with teller.telling():
            teller.add(_outcome("first"))
            await _until_begun(book)
            teller.add(_outcome("second"))
            landed.set()
            await asyncio.Event().wait()

    async def cancelled() -> None:
        landed = asyncio.Event()
        task = asyncio.create_task(batch(landed))
        await landed.wait()
        task.cancel()
        # The first write goes on while the batch is being cancelled.
        await asyncio.sleep(0)
        book.go.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert book.writes == [["first"], ["second"]]


def test_a_write_that_fails_fails_the_batch() -> None:
    """An event log that can't be written is no silent loss."""

    def tell(_: Sequence[PromptOutcome]) -> None:
        raise OSError("disk full")

    async def batch() -> None:
        teller = EventBatcher(tell)
        async with teller.telling():
            teller.add(_outcome("first"))
            await asyncio.sleep(0.05)

    with pytest.raises(OSError, match="disk full"):
        asyncio.run(batch())
