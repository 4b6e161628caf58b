"""The server put together: routes, gate and what they share."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from http import HTTPStatus
from pathlib import Path

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from asset_pipeline.errors import ConfigurationError
from asset_pipeline.sandbox.account_routes import AccountRoutes
from asset_pipeline.sandbox.admin_routes import AdminRoutes
from asset_pipeline.sandbox.admission import Admission
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
from asset_pipeline.sandbox.upload_routes import UploadRoutes
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
        UploadRoutes(core),
        DeliveryRoutes(core),
        AdminRoutes(core),
        ChatRoutes(core),
    )
    app = Starlette(
        routes=[route for room in rooms for route in room.routes()],
        middleware=[
            Middleware(DateHeader, state=state),
            Middleware(Admission, core=core),
            Middleware(ApiMiddleware, core=core),
        ],
        exception_handlers={
            ProblemError: _answer_problem,
            HTTPException: _answer_http,
            ClientDisconnect: _answer_nobody,
        },
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # the API answers 404, and a redirect repeats no create
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
    if not isinstance(error, HTTPException) or error.status_code == HTTPStatus.NOT_FOUND:
        return not_found()
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = {"Allow": ", ".join(sorted(_methods(request)))}
        return problem(405, "Method not allowed", "This resource has no such method.", allowed)
    title = HTTPStatus(error.status_code).phrase.capitalize()
    return problem(error.status_code, title, error.detail, error.headers)


async def _answer_nobody(request: Request, error: Exception) -> Response:
    """The client has gone in the middle of its body: nothing was done, and nobody reads this."""
    del request, error
    return problem(400, "Bad request", "The body of this request ended early.")


def _methods(request: Request) -> set[str]:
    """Return the methods of all routes at a path: Starlette names those of the first alone."""
    routes = (route for route in request.app.routes if isinstance(route, Route))
    here = (route for route in routes if route.path_regex.match(request.scope["path"]))
    return {method for route in here for method in route.methods or ()}
