"""Handing out rendered files, for one hour."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from asset_pipeline.sandbox.core import Core
from asset_pipeline.sandbox.display import event_about
from asset_pipeline.sandbox.faults.names import Route as FaultRoute
from asset_pipeline.sandbox.faults.output_faults import spoiled
from asset_pipeline.sandbox.faults.transport_faults import UNAVAILABLE, server_error, strike_before
from asset_pipeline.sandbox.lifecycle import find
from asset_pipeline.sandbox.outputs import MIME_TYPES, is_file_of
from asset_pipeline.sandbox.problems import ProblemError, not_found
from asset_pipeline.sandbox.render_pool import InterruptedRenderError, RenderError


class DeliveryRoutes:
    """Handlers on one :class:`Core`; files need no token, as on Replicate's delivery host."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [Route("/delivery/{id}/{name}", self.deliver, methods=["GET"])]

    async def deliver(self, request: Request) -> Response:
        """Return a file of a prediction that has succeeded less than an hour ago."""
        prediction = find(self._core.state, request.path_params["id"])
        name = request.path_params["name"]
        now = self._core.state.now_us()
        if (
            prediction is None
            or not is_file_of(prediction.files, name)
            or prediction.status(now) != "succeeded"
            or prediction.removed(now)
        ):
            raise ProblemError(not_found())
        rule = self._core.faults.fire(event_about(prediction, FaultRoute.FILE, now))
        await strike_before(rule)
        try:
            path = await self._core.studio.file(prediction, name)
        except InterruptedRenderError:
            raise ProblemError(server_error(UNAVAILABLE)) from None
        except RenderError:
            raise ProblemError(not_found()) from None
        # One that strikes this reply alone goes before one that the prediction has for good.
        for spoiling in (rule, prediction.fault):
            if spoiling is not None:
                spoilt = await spoiled(path, spoiling.fault, spoiling.params)
                if spoilt is not None:
                    return spoilt
        # Read here and now: for a few hundred kilobytes a thread costs more than the disk.
        return Response(path.read_bytes(), media_type=MIME_TYPES[path.suffix[1:]])
