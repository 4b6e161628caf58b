"""What every route of one server shares."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.requests import HTTPConnection
from starlette.types import Scope

from asset_pipeline.sandbox.display import Display
from asset_pipeline.sandbox.faults.registry import FaultRegistry
from asset_pipeline.sandbox.late_creates import Lateness
from asset_pipeline.sandbox.models import OfferedModels
from asset_pipeline.sandbox.options import SandboxOptions
from asset_pipeline.sandbox.ratelimit import RateLimit
from asset_pipeline.sandbox.renderer import MediaRenderer
from asset_pipeline.sandbox.state import State
from asset_pipeline.sandbox.webhook_delivery import WebhookSender


@dataclass(slots=True)
class Core:
    """The parts of one server.

    Args:
        hosts: Names and addresses it was bound to; it answers to these beside the loopback ones.
        drop: Closes the connection that a request came on; the server provides it.
        last_request: When the server was last asked for something, on the monotonic clock.
    """

    options: SandboxOptions
    state: State
    shelf: OfferedModels
    studio: MediaRenderer
    limit: RateLimit
    faults: FaultRegistry
    display: Display
    postman: WebhookSender
    late: Lateness
    hosts: frozenset[str] = frozenset()
    drop: Callable[[Scope], None] | None = None
    last_request: float = field(default_factory=time.monotonic)


def base_url(connection: HTTPConnection) -> str:
    """Return the origin under which this client reaches the server."""
    return f"{connection.scope['scheme']}://{connection.headers['host']}"
