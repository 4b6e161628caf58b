"""The application put together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from starlette.middleware.cors import CORSMiddleware

from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.service import (
    clip_routes,
    file_routes,
    job_routes,
    monitoring_routes,
    ordering_routes,
    other_routes,
    problems,
)
from asset_pipeline.service.context import ServiceContext
from asset_pipeline.service.desk import clip_views, live, pages, prompt_views
from asset_pipeline.service.guard import Guard
from asset_pipeline.service.problems import Problem
from asset_pipeline.service.rates import RateGate
from asset_pipeline.service.wakeups import Wakeups

API = "/api/v1"

_SWEEP_SECONDS = 3600.0


def create_app(context: ServiceContext, *, hosts: frozenset[str] = frozenset()) -> FastAPI:
    """Return the application on an open context.

    Args:
        context: Ledger, store, settings.
        hosts: The names that it may be called by; any if empty.
    """
    app = FastAPI(
        title="asset_pipeline",
        version="1",
        description="Order clips, follow them, judge them. Money is US dollars as decimal text.",
        openapi_url=f"{API}/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
        separate_input_output_schemas=False,
    )
    attach(app, context, hosts)
    problems.install(app)
    for routes in (ordering_routes, job_routes, clip_routes, file_routes, other_routes):
        app.include_router(routes.router, prefix=API)
    app.include_router(monitoring_routes.router)
    _add_desk(app)
    _describe_problems(app)
    if context.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(context.cors_origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID"],
            expose_headers=["Location", "X-Request-Id", "Retry-After"],
        )
    app.add_middleware(Guard)
    return app


def attach(app: FastAPI, context: ServiceContext, hosts: frozenset[str]) -> None:
    """Let an application answer from this context: making one takes most of a second."""
    app.state.context = context
    app.state.hosts = hosts
    app.state.wakeups = Wakeups(context.engine, context.stopping)
    app.state.rate_gate = RateGate(context.rates)
    app.state.monitoring = monitoring_routes.Monitoring(context)


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncGenerator[None]:
    context: ServiceContext = app.state.context
    monitoring: monitoring_routes.Monitoring = app.state.monitoring
    sweeping = asyncio.ensure_future(_sweep(context))
    monitoring.start()
    yield
    context.stopping.set()
    await monitoring.aclose()
    sweeping.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await sweeping


def _add_desk(app: FastAPI) -> None:
    for routes in (clip_views, prompt_views, live):
        app.include_router(routes.router, prefix=f"{API}/desk")
    app.include_router(pages.router)

    async def openapi() -> JSONResponse:
        return JSONResponse(app.openapi())

    # The design's own address for it, beside the one below the API's prefix.
    app.get("/openapi.json", include_in_schema=False)(openapi)


def _describe_problems(app: FastAPI) -> None:
    """Put the problem's schema into the OpenAPI document, where all routes refer to it."""
    make = app.openapi

    def openapi() -> dict[str, object]:
        if app.openapi_schema is None:
            document = make()
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            described = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas.update(described.pop("$defs", {}))
            schemas["Problem"] = described
            document["components"]["securitySchemes"] = {
                "key": {"type": "http", "scheme": "bearer", "bearerFormat": "ap_<id>_<secret>"}
            }
            document["security"] = [{"key": []}, {}]
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # pyright: ignore[reportAttributeAccessIssue] -- FastAPI's own way


async def _sweep(context: ServiceContext) -> None:
    """Delete what has expired, now and then."""
    while True:
        with contextlib.suppress(AssetPipelineError, OSError):
            await asyncio.to_thread(file_routes.sweep, context)
            await asyncio.to_thread(context.submissions.forget_answers)
        await asyncio.sleep(_SWEEP_SECONDS)
