"""One batch: many prompts at once, each clip on its own, one failure never stopping another."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asset_pipeline.catalog.reader import Catalog
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.generation.failures import ErrorClass, GenerationFailure, HeldBackFailure
from asset_pipeline.generation.paid_call import Landed, PaidCall
from asset_pipeline.generation.request import GenerationRequest, resolve
from asset_pipeline.ledger.engine import LedgerError
from asset_pipeline.ledger.movements import BudgetExceededError
from asset_pipeline.logs.fields import bound
from asset_pipeline.money import MicroUsd
from asset_pipeline.prompts.spec import Prompt

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class PromptOutcome:
    """What became of one prompt: done when all its variants landed.

    Landed variants of a failed prompt are kept and never paid again.
    """

    prompt: Prompt
    landed: list[Landed] = field(default_factory=list[Landed])
    failures: list[GenerationFailure] = field(default_factory=list[GenerationFailure])
    budget: BudgetExceededError | None = None
    seconds: float = 0.0

    @property
    def done(self) -> bool:
        """Whether every variant is a stored clip."""
        return len(self.landed) == self.prompt.variants

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
    """A batch's running totals; ``clips`` count variants, the rest prompts."""

    total: int
    done: int = 0
    failed: int = 0
    clips: int = 0
    cached_clips: int = 0
    in_flight: int = 0
    paid: int = 0  # micro-dollars


class Batch:
    """Runs prompts through the paid call, at most ``max_in_flight`` clips at a time.

    Args:
        paid_call: The way to a clip.
        catalog: For the prompts' models.
        prompts_dir: Where reference files are.
        max_in_flight: Clips at a time.
        report: Told after each step, for progress bars; it must return at once.
    """

    def __init__(
        self,
        paid_call: PaidCall,
        catalog: Catalog,
        prompts_dir: Path,
        *,
        max_in_flight: int,
        report: Callable[[BatchProgress], None],
    ) -> None:
        self._paid_call = paid_call
        self._catalog = catalog
        self._prompts_dir = prompts_dir
        self._max_in_flight = max_in_flight
        self._report = report
        self._breach: BudgetExceededError | None = None

    async def run(self, prompts: Iterable[Prompt], total: int) -> AsyncIterator[PromptOutcome]:
        """Yield each prompt's outcome as soon as its last variant has landed or failed.

        Prompts are drawn from the iterable as places get free, so memory does not grow with
        their number.
        """
        progress = BatchProgress(total)
        work = self._variants(prompts)
        finished: deque[PromptOutcome] = deque()
        wake = asyncio.Event()
        loop = asyncio.get_running_loop()

        async def worker() -> None:
            for outcome, variant in work:
                progress.in_flight += 1
                started = loop.time()
                prompt = outcome.prompt
                with bound(kind=prompt.kind, partition=prompt.prompt_id, variant=variant):
                    await self._land(outcome, variant)
                progress.in_flight -= 1
                outcome.seconds = max(outcome.seconds, loop.time() - started)
                if outcome.complete:
                    finished.append(outcome)
                    wake.set()

        tasks = [asyncio.ensure_future(worker()) for _ in range(self._max_in_flight)]
        everyone = asyncio.gather(*tasks)
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

    def _variants(self, prompts: Iterable[Prompt]) -> Iterator[tuple[PromptOutcome, int]]:
        for prompt in prompts:
            outcome = PromptOutcome(prompt)
            for variant in range(1, prompt.variants + 1):
                yield outcome, variant

    async def _land(self, outcome: PromptOutcome, variant: int) -> None:
        try:
            request = resolve(outcome.prompt, variant, self._catalog, self._prompts_dir)
            landed = await self._land_within_budget(request)
            outcome.landed.append(landed)
            _log.info("landed", extra={"paid_microusd": landed.paid, "cached": landed.cached})
        except BudgetExceededError as breach:
            outcome.budget = breach
            _fail(outcome, GenerationFailure(ErrorClass.BUDGET, breach.message))
        except GenerationFailure as failure:
            _fail(outcome, failure)
        except LedgerError:
            # Without the ledger nothing may be sent and nothing can be recorded: the batch ends.
            raise
        except AssetPipelineError as error:
            _fail(outcome, GenerationFailure(ErrorClass.INVALID_INPUT, error.message))
        except Exception as error:  # noqa: BLE001 -- one clip's surprise stays one clip's
            # A mistake of ours in one clip must not stop the others; it must not be hidden either.
            _log.exception("%s, variant %s", outcome.prompt.prompt_id, variant)
            what = f"{type(error).__name__}: {error}"
            _fail(outcome, GenerationFailure(ErrorClass.UNKNOWN, what))

    async def _land_within_budget(self, request: GenerationRequest) -> Landed:
        """Land a clip; after a first breach only what costs nothing more is still done."""
        if self._breach is not None and not await self._paid_call.is_begun(request):
            raise self._breach
        while True:
            try:
                return await self._paid_call.land(request)
            except HeldBackFailure as held_back:
                await self._paid_call.wait(held_back.retry_after or 0)
            except BudgetExceededError as breach:
                self._breach = breach
                raise


def _fail(outcome: PromptOutcome, failure: GenerationFailure) -> None:
    outcome.failures.append(failure)
    _log.info("failed: %s", failure.message, extra={"error_class": failure.error_class})


def _count(progress: BatchProgress, outcome: PromptOutcome) -> None:
    progress.done += outcome.done
    progress.failed += not outcome.done
    progress.clips += len(outcome.landed)
    progress.cached_clips += sum(landed.cached for landed in outcome.landed)
    progress.paid += outcome.paid


async def _stop(tasks: Sequence[asyncio.Future[Any]]) -> None:
    """Cancel what still runs and let it put its intents in order."""
    for task in tasks:
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*tasks, return_exceptions=True)
