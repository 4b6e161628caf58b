"""Routes for who watches: metrics, and whether the service lives and is ready."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry
from sqlalchemy.exc import SQLAlchemyError

from asset_pipeline.clock import SystemClock
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.ledger.metric_sums import MetricSums
from asset_pipeline.ledger.service_schema import Scope
from asset_pipeline.monitoring.metrics import exposed, registry_for
from asset_pipeline.monitoring.readiness import BackgroundChecks, Status
from asset_pipeline.service.bodies import CheckAnswer, Health, Readiness
from asset_pipeline.service.context import ServiceContext, context_of
from asset_pipeline.service.identity import Caller, require
from asset_pipeline.service.responses import PROBLEMS

router = APIRouter(tags=["health"])

Reader = Annotated[Caller, Depends(require(Scope.READ))]


_BEAT_SECONDS = 15.0


class Monitoring:
    """What the service watches itself by; made and ended with the application.

    Args:
        context: Ledger and settings.
    """

    def __init__(self, context: ServiceContext) -> None:
        self.checks = BackgroundChecks(context.settings)
        self._sums = MetricSums(context.engine, SystemClock())
        self._registry: CollectorRegistry = registry_for(self._sums)
        # Scrapes take turns: two at once would read the same.
        self._turns = asyncio.Lock()
        self._beating: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look at everything, and to say that the service lives."""
        self.checks.start()
        self._beating = asyncio.create_task(self._beat())

    async def aclose(self) -> None:
        """End."""
        if self._beating is not None:
            self._beating.cancel()
        await self.checks.aclose()

    async def _beat(self) -> None:
        while True:
            # A ledger that is busy or away is told by the checks; the next beat repeats this.
            with contextlib.suppress(AssetPipelineError, SQLAlchemyError):
                await asyncio.to_thread(self._sums.beat, "service")
                await asyncio.to_thread(self._sums.write_measures)
            await asyncio.sleep(_BEAT_SECONDS)

    async def metrics(self, accept: str) -> tuple[bytes, str]:
        """Return the metrics as text and its content type."""
        async with self._turns:
            return await asyncio.to_thread(exposed, self._registry, accept)


def monitoring_of(request: Request) -> Monitoring:
    """Return what the app that a request came to watches itself by."""
    found: Monitoring = request.app.state.monitoring
    return found


@router.get("/metrics", responses=PROBLEMS, response_class=Response)
async def metrics(request: Request, caller: Reader) -> Response:
    """Show the metrics to Prometheus; where keys are in use, to who has one to read."""
    del caller
    text, kind = await monitoring_of(request).metrics(request.headers.get("accept", ""))
    return Response(text, headers={"Content-Type": kind, "Cache-Control": "no-store"})


@router.get("/healthz")
async def healthz() -> Health:
    """Tell that the process answers."""
    return Health(status="ok")


@router.get("/readyz", response_model=Readiness, responses={503: {"model": Readiness}})
async def readyz(request: Request) -> JSONResponse:
    """Tell whether requests should be sent here: not while it drains, nor without what it needs."""
    context, checks = context_of(request), monitoring_of(request).checks
    await checks.first()
    failing = checks.failing()
    try:
        waiting, lives = await asyncio.to_thread(_daemon, context)
        daemon = "seen" if lives else "not seen"
    except AssetPipelineError:
        waiting, daemon = 0, "unknown"
        failing = failing if "ledger" in failing else ["ledger", *failing]
    status = Status.UNAVAILABLE if failing else Status.READY
    if context.stopping.is_set():
        status = Status.DRAINING
    note = (
        ""
        if daemon != "not seen"
        else ("No Dagster daemon was heard of: submissions wait until one runs.")
    )
    broken = any(part.startswith("ledger") for part in failing)
    found = Readiness(
        status=status.value,
        ledger="unavailable" if broken else "ok",
        daemon=daemon,
        waiting=waiting,
        note=note,
        failing=failing,
        checks=[
            CheckAnswer(
                part=each.found.part,
                state=each.found.state.value,
                needed=each.needed,
                detail=each.found.detail,
                advice=each.found.advice,
                checked_at=each.checked_at,
                seconds=each.seconds,
            )
            for each in checks.results()
        ],
    )
    return JSONResponse(found.model_dump(mode="json"), 200 if status is Status.READY else 503)


def _daemon(context: ServiceContext) -> tuple[int, bool]:
    return context.submissions.waiting(), context.daemon_lives()
