"""One listing answers for all predictions in flight.

Asking for each one by itself costs as many requests as there are clips, several times over: three
quarters of a batch's requests, and at sixty-four in flight more than Replicate's 3,000 a minute.
Whoever has ended is then served from its row of the listing, or asked for once, by itself. It is
also the one listing that finds out when a provider that is down answers again.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import datetime, timedelta

from asset_pipeline.clock import Clock
from asset_pipeline.generation.timeouts import Timeouts
from asset_pipeline.providers.prediction import Prediction
from asset_pipeline.providers.protocol import Provider, UnavailableError

# Predictions in flight stand among the newest, unless others use the same account heavily. What is
# not found there is asked for by itself.
_ROWS_A_LOOK = 300

# The news of an end may be late by this part of the time that the prediction took: predictions that
# begin together end together, and their places stand empty until somebody looks.
_LATENESS = 0.05

# If only the listing fails for so many times the slowest poll, each prediction is
# asked for by itself. Earlier, sixty of them would ask a provider that is down.
_SILENT_POLLS = 6


class PredictionPoller:
    """Looks at the provider's newest predictions while somebody waits for one of them."""

    def __init__(self, provider: Provider, clock: Clock, timing: Timeouts) -> None:
        self._provider = provider
        self._clock = clock
        self._timing = timing
        self._waiting: dict[str, tuple[datetime, asyncio.Future[Prediction]]] = {}
        self._looking: asyncio.Task[None] | None = None
        self._is_silent = False

    async def until_ended(
        self, prediction_id: str, since: datetime, at_most: float
    ) -> Prediction | None:
        """Return a prediction as soon as a listing shows that it has ended.

        Args:
            prediction_id: The prediction waited for.
            since: When it was sent, by our clock.
            at_most: Seconds after which None is returned, and it has to be asked for by itself;
                several times as many while the listing fails.
        """
        news: asyncio.Future[Prediction] = asyncio.get_running_loop().create_future()
        self._waiting[prediction_id] = since, news
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        patience = asyncio.ensure_future(self._wait(at_most))
        try:
            await asyncio.wait({patience, news}, return_when=asyncio.FIRST_COMPLETED)
            return news.result() if news.done() else None
        finally:
            patience.cancel()
            news.cancel()
            self._waiting.pop(prediction_id, None)

    async def aclose(self) -> None:
        """Stop looking."""
        if self._looking is not None:
            self._looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._looking

    async def _wait(self, seconds: float) -> None:
        for _ in range(_SILENT_POLLS):
            await self._clock.sleep(seconds)
            if not self._is_silent:
                return

    async def _look(self) -> None:
        pause = self._timing.first_poll
        while self._waiting:
            await self._clock.sleep(pause)
            try:
                await self._tell()
            except UnavailableError:
                self._is_silent = True
                pause = min(pause * 2, self._timing.slowest_poll)
                continue
            self._is_silent = False
            pause = self._pause()

    def _pause(self) -> float:
        """Return a pause that delays news of the oldest prediction by at most a twentieth."""
        longest = (self._clock.now() - self._earliest()).total_seconds() if self._waiting else 0.0
        return min(max(self._timing.first_poll, longest * _LATENESS), self._timing.longest_poll)

    def _earliest(self) -> datetime:
        return min(since for since, _ in self._waiting.values())

    async def _tell(self) -> None:
        """Read the listing once, and wake those whose prediction has ended."""
        if not self._waiting:
            return
        earliest = self._earliest() - timedelta(seconds=self._timing.clock_skew)
        unseen = set(self._waiting)
        rows = 0
        async with contextlib.aclosing(self._provider.list_since(earliest)) as predictions:
            async for prediction in predictions:
                rows += 1
                unseen.discard(prediction.prediction_id)
                waiting = self._waiting.get(prediction.prediction_id)
                if waiting is not None and prediction.status.is_terminal and not waiting[1].done():
                    waiting[1].set_result(prediction)
                if not unseen or rows >= _ROWS_A_LOOK:
                    break
