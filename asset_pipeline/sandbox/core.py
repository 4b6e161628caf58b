"""What every route of one server shares."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.requests import HTTPConnection
from starlette.types import Scope

from asset_pipeline.sandbox.display import Display
from asset_pipeline.sandbox.faults.book import FaultBook
from asset_pipeline.sandbox.late import Lateness
from asset_pipeline.sandbox.options import SandboxOptions
from asset_pipeline.sandbox.postman import Postman
from asset_pipeline.sandbox.ratelimit import RateLimit
from asset_pipeline.sandbox.shelf import Shelf
from asset_pipeline.sandbox.state import State
from asset_pipeline.sandbox.studio import Studio


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
    shelf: Shelf
    studio: Studio
    limit: RateLimit
    faults: FaultBook
    display: Display
    postman: Postman
    late: Lateness
    hosts: frozenset[str] = frozenset()
    drop: Callable[[Scope], None] | None = None
    last_request: float = field(default_factory=time.monotonic)


def base_url(connection: HTTPConnection) -> str:
    """Return the origin under which this client reaches the server."""
    return f"{connection.scope['scheme']}://{connection.headers['host']}"
