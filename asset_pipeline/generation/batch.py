"""One batch: many prompts concurrently; a failed clip stops no other."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.catalog.reader import Catalog
from asset_pipeline.generation.failures import ErrorClass, GenerationFailure
from asset_pipeline.generation.payment.paid_call import PaidCall
from asset_pipeline.generation.payment.recorder import Landed
from asset_pipeline.generation.retry.attempts import Attempts, WantedClip
from asset_pipeline.generation.retry.rewriter import Rewriter
from asset_pipeline.generation.retry.rules import RetryRules
from asset_pipeline.generation.work_queue import DelayQueue
from asset_pipeline.ledger.failed_prompts import HowEnded
from asset_pipeline.ledger.postings import BudgetExceededError
from asset_pipeline.ledger.substitutes import Stake
from asset_pipeline.logs.fields import bound
from asset_pipeline.money import MicroUsd
from asset_pipeline.prompts.spec import Prompt


@dataclass(slots=True)
class PromptOutcome:
    """The result of one prompt; it is done when all its variants are stored.

    Landed variants of a failed prompt are kept and never paid again.

    Attributes:
        stake: Of a prompt that failed: what it has cost, and what it still holds.
    """

    prompt: Prompt
    landed: list[Landed] = field(default_factory=list[Landed])
    failures: list[GenerationFailure] = field(default_factory=list[GenerationFailure])
    budget: BudgetExceededError | None = None
    stake: Stake | None = None
    seconds: float = 0.0

    @property
    def done(self) -> bool:
        """Whether every variant is a stored clip."""
        return len(self.landed) == self.prompt.variants

    @property
    def overtaken(self) -> bool:
        """Whether a newer request for the prompt came before its clips were stored."""
        return any(landed.clip.superseded_at is not None for landed in self.landed)

    @property
    def how(self) -> HowEnded:
        """How a prompt ended that is not done: it failed, unless nothing but that stopped it."""
        classes = {cause.error_class for cause in self.failures}
        if classes == {ErrorClass.CANCELLED} and (self.stake is None or not self.stake.charged):
            return HowEnded.CANCELLED
        held_back = classes <= {ErrorClass.BUDGET, ErrorClass.CANCELLED}
        return HowEnded.REFUSED if held_back and ErrorClass.BUDGET in classes else HowEnded.FAILED

    @property
    def complete(self) -> bool:
        """Whether nothing more will happen to this prompt in this batch."""
        return len(self.landed) + len(self.failures) == self.prompt.variants

    @property
    def paid(self) -> MicroUsd:
        """What this batch paid for the prompt's landed clips."""
        return MicroUsd(sum(landed.paid for landed in self.landed))


@dataclass(slots=True)
class BatchProgress:
    """A batch's running totals; ``clips`` count variants, the rest prompts.

    ``in_flight`` returns how many predictions the provider is at, or is about to be asked for, at
    the moment it is called: they change while no prompt ends. ``waiting`` returns how many clips
    wait for reserved money to come back.
    """

    total: int
    done: int = 0
    failed: int = 0
    clips: int = 0
    cached_clips: int = 0
    in_flight: Callable[[], int] = lambda: 0
    waiting: Callable[[], int] = lambda: 0
    paid: int = 0  # micro-dollars


class Batch:
    """Runs prompts through the paid call, at most ``max_clips`` at a time.

    Args:
        paid_call: The way to a clip.
        catalog: For the prompts' models.
        prompts_dir: Where reference files are.
        max_clips: Clips at a time, from the first look for them to their delivery.
        report: Told at the start and after each step, for progress bars; it must return at once.
        rules: Returns what is done about failures; asked at each one.
        earlier_tries: How often Dagster has retried the step before.
        rewriter: Rewrites refused prompts where the rules say so; None where nobody can.
    """

    def __init__(
        self,
        paid_call: PaidCall,
        catalog: Catalog,
        prompts_dir: Path,
        *,
        max_clips: int,
        report: Callable[[BatchProgress], None],
        rules: Callable[[], RetryRules],
        earlier_tries: int = 0,
        rewriter: Rewriter | None = None,
    ) -> None:
        self._paid_call = paid_call
        self._max_clips = max_clips
        self._report = report
        self._attempts = Attempts(paid_call, catalog, prompts_dir, rules, earlier_tries, rewriter)

    @property
    def waiting(self) -> int:
        """Clips that wait for reserved money to come back."""
        return self._paid_call.waiting

    async def run(self, prompts: Iterable[Prompt], total: int) -> AsyncIterator[PromptOutcome]:
        """Yield each prompt's outcome as soon as its last variant has landed or failed.

        Prompts are drawn from the iterable as places get free, so memory does not grow with
        their number.
        """
        progress = BatchProgress(
            total,
            in_flight=lambda: self._paid_call.in_flight,
            waiting=lambda: self._paid_call.waiting,
        )
        self._report(progress)
        turns = DelayQueue(self._wanted(prompts), self._paid_call.clock)
        finished: deque[PromptOutcome] = deque()
        wake = asyncio.Event()
        loop = asyncio.get_running_loop()

        async def worker() -> None:
            while (clip := await turns.next()) is not None:
                started = loop.time()
                prompt = clip.prompt
                with bound(kind=prompt.kind, partition=prompt.prompt_id, variant=clip.variant):
                    pause = await self._attempts.attempt(clip)
                    clip.seconds += loop.time() - started
                    if pause is not None:
                        turns.again(clip, pause.seconds, here=pause.here)
                        continue
                    await end(clip)
                turns.done()

        async def end(clip: WantedClip) -> None:
            outcome = await self._end(outcomes, clip)
            if outcome is not None:
                finished.append(outcome)
                wake.set()

        async def everybody() -> None:
            await asyncio.gather(*tasks)
            # Only waiting clips are left: Dagster's retry of the step makes their next attempts.
            for clip, seconds in turns.left():
                clip.give_up(again_after=seconds)
                await end(clip)

        outcomes: dict[tuple[Kind, str], PromptOutcome] = {}
        tasks = [asyncio.ensure_future(worker()) for _ in range(self._max_clips)]
        everyone = asyncio.ensure_future(everybody())
        everyone.add_done_callback(lambda _: wake.set())
        try:
            while not everyone.done() or finished:
                await wake.wait()
                wake.clear()
                while finished:
                    outcome = finished.popleft()
                    _count(progress, outcome)
                    self._report(progress)
                    yield outcome
            await everyone
        finally:
            await _stop([*tasks, everyone])

    def _wanted(self, prompts: Iterable[Prompt]) -> Iterator[WantedClip]:
        for prompt in prompts:
            for variant in range(1, prompt.variants + 1):
                yield WantedClip(prompt, variant)

    async def _end(
        self, outcomes: dict[tuple[Kind, str], PromptOutcome], clip: WantedClip
    ) -> PromptOutcome | None:
        """Enter a clip that ended; return its prompt's outcome when it is complete."""
        key = (clip.prompt.kind, clip.prompt.prompt_id)
        outcome = outcomes.setdefault(key, PromptOutcome(clip.prompt))
        outcome.seconds = max(outcome.seconds, clip.seconds)
        if clip.landed is not None:
            outcome.landed.append(clip.landed)
        elif clip.failure is not None:
            outcome.failures.append(clip.failure)
            outcome.budget = outcome.budget or clip.breach
        if not outcome.complete:
            return None
        if not outcome.done:
            outcome.stake = await self._paid_call.stake_of(clip.prompt)
        return outcomes.pop(key)


def _count(progress: BatchProgress, outcome: PromptOutcome) -> None:
    progress.done += outcome.done
    progress.failed += not outcome.done
    progress.clips += len(outcome.landed)
    progress.cached_clips += sum(landed.cached for landed in outcome.landed)
    progress.paid += outcome.paid


async def _stop(tasks: Sequence[asyncio.Future[Any]]) -> None:
    """Cancel what still runs, and wait until its intents are in order."""
    for task in tasks:
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*tasks, return_exceptions=True)
