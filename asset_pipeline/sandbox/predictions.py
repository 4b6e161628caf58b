"""The routes about predictions: create in three ways, read, list, cancel."""

from __future__ import annotations

import asyncio
import json
import re
from typing import cast
from urllib.parse import quote

from pydantic import JsonValue
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from asset_pipeline.catalog.spec import Model
from asset_pipeline.sandbox.core import Core, base_url
from asset_pipeline.sandbox.faults.book import Event
from asset_pipeline.sandbox.faults.plan import KEPT, FaultName
from asset_pipeline.sandbox.faults.plan import Route as FaultRoute
from asset_pipeline.sandbox.faults.strike import strike_after, strike_before
from asset_pipeline.sandbox.lifecycle import (
    TERMINAL,
    Order,
    Prediction,
    accept,
    cancel,
    find,
)
from asset_pipeline.sandbox.pages import read_page
from asset_pipeline.sandbox.problems import (
    InvalidField,
    ProblemError,
    invalid,
    invalid_version,
    not_found,
)
from asset_pipeline.sandbox.replies import shown
from asset_pipeline.sandbox.state import MICROSECONDS
from asset_pipeline.sandbox.validation import check_input, read_body
from asset_pipeline.sandbox.webhooks import checked_url, wanted_events

_LONGEST_WAIT = 60.0
# Other processes may cancel a prediction, or set the clock ahead, while a reply is held.
_LOOK_AGAIN_SECONDS = 0.25
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s?)?")
_SHORTEST_CANCEL, _LONGEST_CANCEL = 5, 86_400


class PredictionRoutes:
    """Handlers on one :class:`Core`."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/v1/predictions", self.create, methods=["POST"]),
            Route("/v1/predictions", self.list_, methods=["GET"]),
            Route("/v1/predictions/{id}", self.get, methods=["GET"]),
            Route("/v1/predictions/{id}/cancel", self.cancel, methods=["POST"]),
            Route("/v1/models/{owner}/{name}/predictions", self.create_official, methods=["POST"]),
            Route(
                "/v1/deployments/{owner}/{name}/predictions", self.create_deployed, methods=["POST"]
            ),
        ]

    async def create(self, request: Request) -> Response:
        """Create by version."""
        body = read_body(await request.body(), with_version=True)
        model = self._core.shelf.versioned(str(body["version"]))
        if model is None:
            raise ProblemError(invalid_version())
        return await self._create(request, model, body)

    async def create_official(self, request: Request) -> Response:
        """Create by an official model's name; a community model has no such route."""
        model = self._core.shelf.named(_name(request))
        if model is None or not model.official:
            raise ProblemError(not_found())
        body = read_body(await request.body(), with_version=False)
        return await self._create(request, model, body)

    async def create_deployed(self, request: Request) -> Response:
        """Create on a deployment; each model of the catalog is taken to be deployed by its name."""
        model = self._core.shelf.named(_name(request))
        if model is None:
            raise ProblemError(not_found())
        body = read_body(await request.body(), with_version=False)
        return await self._create(request, model, body, deployment=model.name)

    async def get(self, request: Request) -> Response:
        """Return one prediction."""
        prediction = find(self._core.state, request.path_params["id"])
        if prediction is None:
            raise ProblemError(not_found())
        await strike_before(self._core.faults.fire(_event(FaultRoute.GET, prediction)))
        return JSONResponse(await self._shown(request, prediction))

    async def list_(self, request: Request) -> Response:
        """Return a page of predictions."""
        await strike_before(self._core.faults.fire(Event(FaultRoute.LIST)))
        page = read_page(self._core.state, request.query_params)
        now = self._core.state.now_us()
        root = base_url(request)

        def link(cursor: str | None) -> str | None:
            return None if cursor is None else f"{root}/v1/predictions?cursor={quote(cursor)}"

        results = [shown(prediction, now, root) for prediction in page.predictions]
        return JSONResponse(
            {"next": link(page.next), "previous": link(page.previous), "results": results}
        )

    async def cancel(self, request: Request) -> Response:
        """Cancel; one that has ended is returned as it is."""
        prediction = find(self._core.state, request.path_params["id"])
        if prediction is None:
            raise ProblemError(not_found())
        rule = self._core.faults.fire(_event(FaultRoute.CANCEL, prediction))
        await strike_before(rule)
        prediction = cancel(self._core.state, prediction.id) or prediction
        strike_after(rule)
        return JSONResponse(await self._shown(request, prediction))

    async def _create(
        self,
        request: Request,
        model: Model,
        body: dict[str, JsonValue],
        deployment: str | None = None,
    ) -> Response:
        inputs = check_input(model, cast("dict[str, JsonValue]", body["input"]))
        cancel_after, wait = _cancel_after(request), _preferred_wait(request)
        webhook, events = checked_url(body), wanted_events(body)
        prompt = str(inputs.get(model.prompt_input, ""))
        subject = json.dumps(inputs, sort_keys=True)
        rule = self._core.faults.fire(Event(FaultRoute.CREATE, model.name, prompt, subject))
        kept = rule if rule is not None and rule.fault in KEPT else None
        if kept is None:
            await strike_before(rule)
        order = Order(model, inputs, cancel_after, deployment, kept)
        prediction = accept(self._core.state, self._core.options, order)
        self._core.studio.warm(prediction)
        if webhook is not None and (kept is None or kept.fault is not FaultName.WEBHOOK_ABSENT):
            self._core.postman.take(prediction, webhook, events, base_url(request))
        strike_after(rule)
        if wait is None:
            return JSONResponse(await self._shown(request, prediction), 201)
        prediction = await self._held(prediction, wait)
        content = await self._shown(request, prediction)
        return JSONResponse(content, 201 if content["status"] in TERMINAL else 202)

    async def _held(self, prediction: Prediction, seconds: float) -> Prediction:
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while True:
            prediction = find(self._core.state, prediction.id) or prediction
            left = (prediction.ends_us - self._core.state.now_us()) / MICROSECONDS
            patience = until - loop.time()
            if left <= 0 or patience <= 0:
                return prediction
            await asyncio.sleep(min(left, patience, _LOOK_AGAIN_SECONDS))

    async def _shown(self, request: Request, prediction: Prediction) -> dict[str, JsonValue]:
        now = self._core.state.now_us()
        if prediction.status(now) == "succeeded" and not prediction.removed(now):
            # A sound's length is one of the metrics, and known only when it was made.
            await self._core.studio.measured(prediction)
            prediction = find(self._core.state, prediction.id) or prediction
        return shown(prediction, now, base_url(request))


def _event(route: FaultRoute, prediction: Prediction) -> Event:
    return Event(route, prediction.model, prediction.prompt, prediction.id)


def _name(request: Request) -> str:
    return f"{request.path_params['owner']}/{request.path_params['name']}"


def _preferred_wait(request: Request) -> float | None:
    """Return the seconds of ``Prefer: wait`` or ``wait=N``; None when it was not sent."""
    for part in request.headers.get("prefer", "").split(","):
        name, _, seconds = part.strip().partition("=")
        if name != "wait":
            continue
        if not seconds:
            return _LONGEST_WAIT
        if not seconds.isdigit() or not 1 <= int(seconds) <= _LONGEST_WAIT:
            issue = InvalidField("format", "Prefer", "wait must be between 1 and 60 seconds")
            raise ProblemError(invalid([issue]))
        return float(seconds)
    return None


def _cancel_after(request: Request) -> float | None:
    """Return the seconds of ``Cancel-After``, such as ``5s``, ``2m``, ``1h30m`` or ``90``."""
    given = request.headers.get("cancel-after")
    if given is None:
        return None
    match = _DURATION.fullmatch(given.strip())
    seconds = 0.0
    if match is not None:
        hours, minutes, rest = match.groups()
        seconds = int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(rest or 0)
    if not _SHORTEST_CANCEL <= seconds <= _LONGEST_CANCEL:
        issue = InvalidField("format", "Cancel-After", "must be between 5s and 24h")
        raise ProblemError(invalid([issue]))
    return seconds
