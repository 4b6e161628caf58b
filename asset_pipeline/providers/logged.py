"""A provider that leaves a line in the log for each call: what came of it, and how long it took."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncGenerator
from datetime import datetime
from pathlib import Path

from asset_pipeline.clock import Clock
from asset_pipeline.measures import MEASURES, PROVIDER
from asset_pipeline.origin import Origin
from asset_pipeline.providers.prediction import Prediction
from asset_pipeline.providers.protocol import (
    Allowance,
    CreateRequest,
    Provider,
    ProviderError,
    RefusedError,
)

_log = logging.getLogger(__name__)

_UNCLEAR = "Nobody knows yet whether it was accepted: it is looked up, not sent again."


class LoggedProvider:
    """Passes every call on, and writes down its outcome and its response time.

    Inputs and addresses are not written: prompts may be private, and an address may be signed.

    Args:
        provider: Who is really asked; closed with this.
        clock: Measures.
    """

    def __init__(self, provider: Provider, clock: Clock) -> None:
        self._provider = provider
        self._clock = clock

    async def origin(self) -> Origin:
        """Return who is asked; see the protocol."""
        return await self._provider.origin()

    def clock_offset(self) -> tuple[float, float]:
        """Return what the provider's clock is ahead of ours; see the protocol."""
        return self._provider.clock_offset()

    async def create(self, request: CreateRequest) -> Prediction:
        """Send exactly one POST; see the protocol."""
        call = _Call("create", self._clock, model=request.model)
        try:
            prediction = await self._provider.create(request)
        except RefusedError as error:
            call.failed(error, logging.INFO)
            raise
        except ProviderError as error:
            # People look for the money first, and it stays reserved meanwhile.
            call.failed(error, logging.WARNING, _UNCLEAR)
            raise
        call.answered(prediction_id=prediction.prediction_id)
        return prediction

    def allowance(self) -> Allowance | None:
        """Return what the last answer to a create said of our limit; see the protocol."""
        return self._provider.allowance()

    async def get(self, prediction_id: str) -> Prediction:
        """Return a prediction as it stands; see the protocol."""
        call = _Call("get", self._clock, prediction_id=prediction_id)
        try:
            prediction = await self._provider.get(prediction_id)
        except ProviderError as error:
            call.failed(error, logging.INFO)
            raise
        call.answered(status=prediction.raw_status)
        return prediction

    async def cancel(self, prediction_id: str) -> Prediction:
        """Ask the provider to stop a prediction; see the protocol."""
        call = _Call("cancel", self._clock, prediction_id=prediction_id)
        try:
            prediction = await self._provider.cancel(prediction_id)
        except ProviderError as error:
            call.failed(error, logging.INFO)
            raise
        call.answered(status=prediction.raw_status)
        return prediction

    async def list_since(self, since: datetime) -> AsyncGenerator[Prediction]:
        """Yield all predictions created after ``since``; see the protocol."""
        call, listed = _Call("list", self._clock), 0
        try:
            # Whoever found what he looked for stops in the middle of a page.
            async with contextlib.aclosing(self._provider.list_since(since)) as predictions:
                async for prediction in predictions:
                    listed += 1
                    yield prediction
        except ProviderError as error:
            call.failed(error, logging.INFO)
            raise
        except GeneratorExit:
            call.answered(listed=listed)
            raise
        call.answered(listed=listed)

    async def download(self, url: str, target: Path, *, max_bytes: int) -> int:
        """Stream an output to a file; see the protocol."""
        call = _Call("download", self._clock)
        try:
            size = await self._provider.download(url, target, max_bytes=max_bytes)
        except ProviderError as error:
            call.failed(error, logging.INFO)
            raise
        call.answered(bytes=size)
        return size

    async def aclose(self) -> None:
        """Close all connections."""
        await self._provider.aclose()


class _Call:
    """One call while it lasts."""

    def __init__(self, name: str, clock: Clock, **fields: object) -> None:
        self._name = name
        self._clock = clock
        self._fields = fields
        self._began = clock.monotonic()

    def answered(self, **fields: object) -> None:
        """Write down that the provider answered."""
        MEASURES.time(PROVIDER, self._name, self._seconds())
        _log.info("%s answered", self._name, extra=self._extra(**fields))

    def failed(self, error: ProviderError, level: int, remark: str = "") -> None:
        """Write down how it failed."""
        outcome = "refused" if isinstance(error, RefusedError) else "unavailable"
        MEASURES.time(PROVIDER, self._name, self._seconds(), outcome)
        said = f"{error.message.rstrip('.')}. {remark}" if remark else error.message
        extra = self._extra(outcome=type(error).__name__, retry_after=error.retry_after)
        if error.status is not None:
            extra["status"] = error.status
        _log.log(level, "%s failed: %s", self._name, said, extra=extra)

    def _extra(self, **fields: object) -> dict[str, object]:
        taken = self._seconds() * 1000
        return {"call": self._name, "ms": round(taken, 1), **self._fields, **fields}

    def _seconds(self) -> float:
        return self._clock.monotonic() - self._began
