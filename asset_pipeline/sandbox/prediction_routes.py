"""The routes about predictions: create in three ways, read, list, cancel."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import cast
from urllib.parse import quote

from pydantic import JsonValue
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from asset_pipeline.catalog.spec import Model
from asset_pipeline.sandbox.accounts import account_of
from asset_pipeline.sandbox.bodies import read_json
from asset_pipeline.sandbox.core import Core, base_url
from asset_pipeline.sandbox.display import event_about
from asset_pipeline.sandbox.faults.names import KEPT, FaultName
from asset_pipeline.sandbox.faults.names import Route as FaultRoute
from asset_pipeline.sandbox.faults.plan import FaultRule
from asset_pipeline.sandbox.faults.registry import Event
from asset_pipeline.sandbox.faults.transport_faults import (
    strike_after,
    strike_before,
    strike_while_late,
)
from asset_pipeline.sandbox.headers import cancel_after, preferred_wait
from asset_pipeline.sandbox.lifecycle import (
    TERMINAL,
    Order,
    Prediction,
    accept,
    cancel,
    find,
    find_of,
    latest_of,
)
from asset_pipeline.sandbox.pages import read_page
from asset_pipeline.sandbox.problems import ProblemError, invalid_version, not_found
from asset_pipeline.sandbox.state import MICROSECONDS
from asset_pipeline.sandbox.validation import check_body, check_input
from asset_pipeline.sandbox.webhooks import asked_webhook

# Other processes may cancel a prediction, or set the clock ahead, while a reply is held.
_LOOK_AGAIN_SECONDS = 0.25


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
        body = check_body((await read_json(request))[1], with_version=True)
        model = self._core.shelf.versioned(str(body["version"]))
        if model is None:
            raise ProblemError(invalid_version())
        return await self._create(request, model, body)

    async def create_official(self, request: Request) -> Response:
        """Create by an official model's name; a community model has no such route."""
        model = self._core.shelf.named(_name(request))
        if model is None or not model.official:
            raise ProblemError(not_found())
        body = check_body((await read_json(request))[1], with_version=False)
        return await self._create(request, model, body)

    async def create_deployed(self, request: Request) -> Response:
        """Create on a deployment; each model of the catalog is taken to be deployed by its name."""
        model = self._core.shelf.named(_name(request))
        if model is None:
            raise ProblemError(not_found())
        body = check_body((await read_json(request))[1], with_version=False)
        return await self._create(request, model, body, deployment=model.name)

    async def get(self, request: Request) -> Response:
        """Return one prediction."""
        prediction, rule = self._asked_for(request, FaultRoute.GET)
        await strike_before(rule)
        return JSONResponse(await self._shown(request, prediction, FaultRoute.GET))

    async def list_(self, request: Request) -> Response:
        """Return a page of predictions."""
        await strike_before(self._core.faults.fire(Event(FaultRoute.LIST)))
        page = read_page(self._core.state, account_of(request), request.query_params)
        root = base_url(request)

        def link(cursor: str | None) -> str | None:
            return None if cursor is None else f"{root}/v1/predictions?cursor={quote(cursor)}"

        rows = [await self._core.display.row(each, root) for each in page.predictions]
        results = [row for row in rows if row is not None]
        return JSONResponse(
            {"next": link(page.next), "previous": link(page.previous), "results": results}
        )

    async def cancel(self, request: Request) -> Response:
        """Cancel; one that has ended is returned as it is."""
        prediction, rule = self._asked_for(request, FaultRoute.CANCEL)
        await strike_before(rule)
        prediction = cancel(self._core.state, prediction.id) or prediction
        strike_after(rule)
        return JSONResponse(await self._shown(request, prediction, FaultRoute.CANCEL))

    def _asked_for(
        self, request: Request, route: FaultRoute
    ) -> tuple[Prediction, FaultRule | None]:
        """Return the account's prediction that a request names, and what strikes the request.

        Raises:
            ProblemError: 404, there is none, or it is another account's.
        """
        state = self._core.state
        prediction = find_of(state, account_of(request), request.path_params["id"])
        if prediction is None:
            raise ProblemError(not_found())
        return prediction, self._core.faults.fire(event_about(prediction, route, state.now_us()))

    async def _create(
        self,
        request: Request,
        model: Model,
        body: dict[str, JsonValue],
        deployment: str | None = None,
    ) -> Response:
        inputs = check_input(model, cast("dict[str, JsonValue]", body["input"]))
        limit, wait = cancel_after(request.headers), preferred_wait(request.headers)
        account, webhook = account_of(request), asked_webhook(body)
        prompt = str(inputs.get(model.prompt_input, ""))
        subject = json.dumps(inputs, sort_keys=True)
        rule = self._core.faults.fire(Event(FaultRoute.CREATE, model.name, prompt, subject))
        kept = rule if rule is not None and rule.fault in KEPT else None
        if kept is None:
            await strike_before(rule)
        order = Order(account, model, inputs, limit, deployment, kept, webhook)
        prediction = await self._taken_up(order, rule, base_url(request))
        strike_after(rule)
        if wait is None:
            return JSONResponse(await self._shown(request, prediction, FaultRoute.CREATE), 201)
        prediction = await self._held(prediction, wait)
        content = await self._shown(request, prediction, FaultRoute.CREATE)
        return JSONResponse(content, 201 if content["status"] in TERMINAL else 202)

    async def _taken_up(self, order: Order, rule: FaultRule | None, origin: str) -> Prediction:
        """Accept a create now, or when the rule says so: then also if the client is gone."""
        if rule is not None and rule.fault is FaultName.LATE_ACCEPTANCE:
            late = self._core.late.hold(rule.params.seconds, lambda: self._accept(order, origin))
            await strike_while_late(rule)
            return await asyncio.shield(late)
        if rule is not None and rule.fault is FaultName.SAME_ID:
            earlier = latest_of(self._core.state, order.account)
            order = replace(order, shown_id=earlier.public_id if earlier is not None else None)
        return self._accept(order, origin)

    def _accept(self, order: Order, origin: str) -> Prediction:
        prediction = accept(self._core.state, self._core.options, order)
        self._core.studio.warm(prediction)
        silent = order.fault is not None and order.fault.fault is FaultName.WEBHOOK_ABSENT
        if order.webhook is not None and not silent:
            self._core.postman.take(prediction, order.webhook, origin)
        return prediction

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

    async def _shown(
        self, request: Request, prediction: Prediction, route: FaultRoute
    ) -> dict[str, JsonValue]:
        now = self._core.state.now_us()
        if prediction.status(now) == "succeeded" and not prediction.removed(now):
            # A sound's length is one of the metrics, and known only when it was made.
            await self._core.studio.measured(prediction)
            prediction = find(self._core.state, prediction.id) or prediction
        return await self._core.display.single(prediction, route, base_url(request))


def _name(request: Request) -> str:
    return f"{request.path_params['owner']}/{request.path_params['name']}"
