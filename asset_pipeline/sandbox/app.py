"""The server put together: routes, gate and what they share."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response

from asset_pipeline.errors import ConfigurationError
from asset_pipeline.sandbox.account_routes import AccountRoutes
from asset_pipeline.sandbox.admin_routes import AdminRoutes
from asset_pipeline.sandbox.chat.routes import ChatRoutes
from asset_pipeline.sandbox.core import Core
from asset_pipeline.sandbox.date_header import DateHeader
from asset_pipeline.sandbox.delivery_routes import DeliveryRoutes
from asset_pipeline.sandbox.display import Display
from asset_pipeline.sandbox.faults.plan import ClockSkew, explain, load_plan
from asset_pipeline.sandbox.faults.registry import FaultRegistry
from asset_pipeline.sandbox.late_creates import Lateness
from asset_pipeline.sandbox.middleware import ApiMiddleware
from asset_pipeline.sandbox.models import OfferedModels
from asset_pipeline.sandbox.options import SandboxOptions
from asset_pipeline.sandbox.prediction_routes import PredictionRoutes
from asset_pipeline.sandbox.problems import ProblemError, not_found, problem
from asset_pipeline.sandbox.ratelimit import RateLimit
from asset_pipeline.sandbox.renderer import MediaRenderer
from asset_pipeline.sandbox.state import State
from asset_pipeline.sandbox.webhook_delivery import WebhookSender


def create_app(state_dir: Path, options: SandboxOptions) -> Starlette:
    """Return the ASGI application on a state folder.

    Its :class:`Core` is at ``app.state.core``.

    Raises:
        ConfigurationError: The fault plan or the catalog cannot be used.
    """
    state = State(state_dir)
    shelf = OfferedModels(options.config_dir)
    faults = FaultRegistry(state)
    _load(faults, options)
    studio = MediaRenderer(state, shelf)
    display = Display(state, shelf, studio, faults)
    core = Core(
        options,
        state,
        shelf,
        studio,
        RateLimit(state, options),
        faults,
        display,
        WebhookSender(state, display),
        Lateness(state),
    )

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        core.postman.start()
        yield
        await core.late.close()
        await core.postman.close()
        await core.studio.close()
        core.state.close()

    rooms = (
        PredictionRoutes(core),
        AccountRoutes(core),
        DeliveryRoutes(core),
        AdminRoutes(core),
        ChatRoutes(core),
    )
    app = Starlette(
        routes=[route for room in rooms for route in room.routes()],
        middleware=[Middleware(DateHeader, state=state), Middleware(ApiMiddleware, core=core)],
        exception_handlers={ProblemError: _answer_problem, HTTPException: _answer_http},
        lifespan=lifespan,
    )
    app.state.core = core
    return app


def _load(faults: FaultRegistry, options: SandboxOptions) -> None:
    """Put the plan and the clock in force that this server was started with."""
    if options.faults_file is not None:
        plan = load_plan(options.faults_file)
        faults.add(plan.faults, instead=True)
        faults.set_clock(plan.clock or ClockSkew())
    given = {
        "skew_seconds": options.clock_skew_seconds,
        "created_at_seconds": options.created_skew_seconds,
    }
    changes = {name: seconds for name, seconds in given.items() if seconds is not None}
    if not changes:
        return
    try:
        faults.set_clock(ClockSkew.model_validate(faults.clock().model_dump() | changes))
    except ValidationError as error:
        raise ConfigurationError(
            f"The sandbox's clock: {explain(error)}.", hint="Say how many seconds it is off."
        ) from None


async def _answer_problem(request: Request, error: Exception) -> Response:
    del request
    return error.response if isinstance(error, ProblemError) else not_found()


async def _answer_http(request: Request, error: Exception) -> Response:
    del request
    if not isinstance(error, HTTPException) or error.status_code == 404:  # noqa: PLR2004
        return not_found()
    return problem(error.status_code, error.detail, error.detail, error.headers)
