"""What every route of one server shares."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from starlette.requests import HTTPConnection

from asset_pipeline.sandbox.options import SandboxOptions
from asset_pipeline.sandbox.ratelimit import RateLimit
from asset_pipeline.sandbox.shelf import Shelf
from asset_pipeline.sandbox.state import State
from asset_pipeline.sandbox.studio import Studio


@dataclass(slots=True)
class Core:
    """The parts of one server, and when it was last asked for something."""

    options: SandboxOptions
    state: State
    shelf: Shelf
    studio: Studio
    limit: RateLimit
    last_request: float = field(default_factory=time.monotonic)


def base_url(connection: HTTPConnection) -> str:
    """Return the origin under which this client reaches the server."""
    host = connection.headers.get("host", "127.0.0.1")
    return f"{connection.url.scheme}://{host}"
