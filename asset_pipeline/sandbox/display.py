"""What clients are shown of a prediction: the truth, changed as the fault plan says."""

from __future__ import annotations

import json

from pydantic import JsonValue

from asset_pipeline.sandbox.faults.display_faults import Disguise, hide_webhook
from asset_pipeline.sandbox.faults.names import FaultName, Route
from asset_pipeline.sandbox.faults.registry import Event, FaultRegistry
from asset_pipeline.sandbox.lifecycle import Prediction
from asset_pipeline.sandbox.models import OfferedModels
from asset_pipeline.sandbox.renderer import MediaRenderer
from asset_pipeline.sandbox.replies import shown
from asset_pipeline.sandbox.state import MICROSECONDS, State

_GONE = frozenset({FaultName.FORGOTTEN})
# A single prediction is known to repeat its webhook; whether the rows of a listing do is not.
_LISTED = FaultName.WEBHOOK_LISTED


class Display:
    """Shows predictions by themselves and as rows of a listing."""

    def __init__(
        self, state: State, shelf: OfferedModels, studio: MediaRenderer, faults: FaultRegistry
    ) -> None:
        self._state = state
        self._shelf = shelf
        self._studio = studio
        self._faults = faults

    async def single(
        self, prediction: Prediction, route: Route, base_url: str
    ) -> dict[str, JsonValue]:
        """Return a prediction as the answer to one request shows it.

        Args:
            prediction: What to show.
            route: What was asked for.
            base_url: Origin under which the client reaches the server.
        """
        now = self._state.now_us()
        body = shown(prediction, now, base_url)
        rules = self._faults.changes(event_about(prediction, route, now))
        if route is Route.LIST and all(rule.fault is not _LISTED for rule in rules):
            hide_webhook(body)
        if rules:
            model = self._shelf.named(prediction.model)
            disguise = Disguise(prediction, model, self._studio, base_url)
            for rule in rules:
                await disguise.change(body, rule)
        return body

    async def row(self, prediction: Prediction, base_url: str) -> dict[str, JsonValue] | None:
        """Return a prediction as a listing shows it; None when the listing lacks it."""
        event = event_about(prediction, Route.LIST, self._state.now_us())
        if self._faults.fire(event, _GONE) is not None:
            return None
        return await self.single(prediction, Route.LIST, base_url)


def event_about(prediction: Prediction, route: Route, now_us: int) -> Event:
    """Return the event that a request about a prediction is to the fault plan."""
    since = prediction.ends_us if route is Route.FILE else prediction.accepted_us
    return Event(
        route,
        prediction.model,
        prediction.prompt,
        prediction.id,
        json.dumps(prediction.input, sort_keys=True),
        (now_us - since) / MICROSECONDS,
    )
