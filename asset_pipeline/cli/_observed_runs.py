"""The generation resource with somebody watching: each prompt's outcome, and what broke a run."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterable
from dataclasses import replace

import dagster as dg
from sqlalchemy.exc import OperationalError

from asset_pipeline.defs.resources.generation import GenerationResource, RunLimits
from asset_pipeline.defs.resources.prompt_library import Prompts
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.generation.batch import Batch, PromptOutcome
from asset_pipeline.ledger.engine import LedgerError
from asset_pipeline.prompts.spec import Prompt


class ObservedGeneration:
    """Stands in for the generation resource in a run of this process.

    It is handed to Dagster as a ready object: Dagster builds configurable resources anew from
    their config for each run, and a watcher is none.

    Args:
        generation: What opens the batches.
        watch: Told of each outcome, in the event loop of the run: it must return at once.

    Attributes:
        error: What ended a whole batch.
        interrupted: Whether a signal did.
        warnings: What was said about budgets that are being used up.
    """

    def __init__(
        self, generation: GenerationResource, watch: Callable[[PromptOutcome], None]
    ) -> None:
        self._generation = generation
        self._watch = watch
        self.error: AssetPipelineError | None = None
        self.interrupted = False
        self.warnings: list[str] = []
        self._batch: Batch | None = None

    def waiting(self) -> int:
        """Return how many clips wait for reserved money to come back."""
        return 0 if self._batch is None else self._batch.waiting

    @contextlib.asynccontextmanager
    async def open_batch(
        self, limits: RunLimits, prompts: Prompts
    ) -> AsyncGenerator[ObservedBatch]:
        """Yield a batch as the resource does.

        An error that ends the whole batch, such as a missing token or a full disk, would be the
        same in five seconds.
        """

        def warn(sentence: str) -> None:
            self.warnings.append(sentence)
            if limits.warn is not None:
                limits.warn(sentence)

        heard = replace(limits, warn=warn)
        with self._keeping_errors():
            async with self._generation.open_batch(heard, prompts) as batch:
                self._batch = batch
                yield ObservedBatch(batch, self._watch)

    def take_order(self) -> int:
        """Return the run's place in the order of what is wanted, as the resource does."""
        with self._keeping_errors():
            return self._generation.take_order()

    @contextlib.contextmanager
    def _keeping_errors(self) -> Generator[None]:
        """Keep what ends a whole run for the command to tell, and let Dagster not retry it."""
        try:
            yield
        except asyncio.CancelledError:
            # Dagster applies the retry policy to interruptions too, and would begin again.
            self.interrupted = True
            raise dg.Failure("Interrupted.", allow_retries=False) from None
        except AssetPipelineError as error:
            self.error = error
            raise dg.Failure(str(error), allow_retries=False) from error
        except (OperationalError, OSError) as error:
            self.error = _sentence(error)
            raise dg.Failure(str(self.error), allow_retries=False) from error

    def note_endings(self, outcomes: Iterable[PromptOutcome], run_id: str) -> None:
        """Write down how the run ended prompts, as the resource does."""
        self._generation.note_endings(outcomes, run_id)


class ObservedBatch:
    """A batch that shows each outcome to the watcher before it passes it on."""

    def __init__(self, batch: Batch, watch: Callable[[PromptOutcome], None]) -> None:
        self._batch = batch
        self._watch = watch

    async def run(self, prompts: Iterable[Prompt], total: int) -> AsyncIterator[PromptOutcome]:
        """Yield the outcomes of the batch."""
        async for outcome in self._batch.run(prompts, total):
            self._watch(outcome)
            yield outcome


def _sentence(error: OperationalError | OSError) -> AssetPipelineError:
    cause = error.orig if isinstance(error, OperationalError) else error
    return LedgerError(
        f"The data folder cannot be written: {cause}.",
        hint="Check its permissions and the room on the disk, then run the command again: "
        "what is paid for is in the ledger and is not paid again.",
    )
