"""Routes that only a sandbox has: its document, the bill, request counts, clock, faults, health."""

from __future__ import annotations

import os
from pathlib import Path
from typing import cast

import yaml
from pydantic import JsonValue, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from asset_pipeline.sandbox.bodies import read_json
from asset_pipeline.sandbox.core import Core
from asset_pipeline.sandbox.faults.plan import FaultPlan, explain
from asset_pipeline.sandbox.lifecycle import from_row
from asset_pipeline.sandbox.problems import InvalidField, ProblemError, invalid
from asset_pipeline.sandbox.replies import billed, timestamp
from asset_pipeline.sandbox.state import MOST_AHEAD

_DOCUMENT = Path(__file__).with_name("openapi.yaml")


class AdminRoutes:
    """Handlers on one :class:`Core`; none needs a token, none is limited or counted."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/openapi.json", self.document, methods=["GET"]),
            Route("/sandbox/health", self.health, methods=["GET"]),
            Route("/sandbox/charges", self.charges, methods=["GET"]),
            Route("/sandbox/requests", self.requests, methods=["GET"]),
            Route("/sandbox/clock", self.advance, methods=["POST"]),
            Route("/sandbox/faults", self.faults, methods=["GET"]),
            Route("/sandbox/faults", self.add_faults, methods=["POST"]),
            Route("/sandbox/faults", self.clear_faults, methods=["DELETE"]),
        ]

    async def document(self, request: Request) -> Response:
        """Return the OpenAPI document of what is served here of Replicate's API."""
        del request
        return JSONResponse(yaml.safe_load(_DOCUMENT.read_text(encoding="utf-8")))

    async def health(self, request: Request) -> Response:
        """Say who this is: the folder of the state is the server's identity."""
        del request
        return JSONResponse(
            {"status": "ok", "state_dir": str(self._core.state.state_dir), "pid": os.getpid()}
        )

    async def charges(self, request: Request) -> Response:
        """Return every prediction accepted and what it cost, oldest first, in micro-dollars.

        Those of all accounts, unless ``?account=NAME`` asks for one's.
        """
        now = self._core.state.now_us()
        rows = self._core.state.connection.execute(
            "SELECT * FROM predictions WHERE account = coalesce(:account, account) ORDER BY seq",
            {"account": request.query_params.get("account")},
        )
        lines = [
            billed(prediction, self._core.shelf.named(prediction.model), now)
            for prediction in map(from_row, rows)
        ]
        return JSONResponse(
            {
                "charges": lines,
                "accepted": len(lines),
                "settled": sum(1 for line in lines if line["settled"]),
                "total_micro_usd": sum(cast("int", line["charge_micro_usd"]) for line in lines),
            }
        )

    async def requests(self, request: Request) -> Response:
        """Return how many requests came in by method and route, refused ones among them."""
        del request
        rows = self._core.state.connection.execute("SELECT route, count FROM requests")
        return JSONResponse({row["route"]: row["count"] for row in rows})

    async def advance(self, request: Request) -> Response:
        """Set the clock ahead by ``{"seconds": N}``."""
        _, body = await read_json(request)
        seconds = body.get("seconds") if isinstance(body, dict) else None
        if not isinstance(seconds, int | float) or isinstance(seconds, bool):
            issue = InvalidField("required", "seconds", "seconds is required, a number")
            raise ProblemError(invalid([issue]))
        offset = self._core.state.advance(seconds) if abs(seconds) <= MOST_AHEAD else None
        if offset is None:
            issue = InvalidField("number_lte", "seconds", "the clock goes 50 years ahead at most")
            raise ProblemError(invalid([issue]))
        now = timestamp(self._core.state.shown_us())
        return JSONResponse({"offset_seconds": offset, "now": now})

    async def faults(self, request: Request) -> Response:
        """Return the rules, how often each has matched and struck, and a clock that is off."""
        del request
        return JSONResponse(self._in_force())

    async def add_faults(self, request: Request) -> Response:
        """Append rules as in a fault plan, ``{"faults": [...]}``; a clock replaces the last one."""
        raw, _ = await read_json(request)
        try:
            plan = FaultPlan.model_validate_json(raw)
        except ValidationError as error:
            issue = InvalidField("fault_plan", "faults", explain(error))
            raise ProblemError(invalid([issue])) from None
        self._core.faults.add(plan.faults)
        if plan.clock is not None:
            self._core.faults.set_clock(plan.clock)
        return JSONResponse(self._in_force(), 201)

    async def clear_faults(self, request: Request) -> Response:
        """Remove all rules, and set the clock right."""
        del request
        self._core.faults.clear()
        return Response(status_code=204)

    def _in_force(self) -> dict[str, JsonValue]:
        clock = self._core.faults.clock().model_dump(exclude_defaults=True)
        return {"faults": self._core.faults.report(), **({"clock": clock} if clock else {})}
