"""Running the application under uvicorn, until told to stop or no longer needed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import uvicorn

from asset_pipeline.errors import ConfigurationError
from asset_pipeline.sandbox.app import create_app
from asset_pipeline.sandbox.core import Core
from asset_pipeline.sandbox.options import SandboxOptions

# Longer than any client keeps an idle connection: a server that hangs up first makes the client's
# next create an unclear case.
_KEEP_ALIVE_SECONDS = 120
_WATCH_SECONDS = 0.5


def serve(
    host: str,
    port: int,
    state_dir: Path,
    options: SandboxOptions,
    *,
    ready: Callable[[str], None],
) -> None:
    """Serve until a signal arrives or the server has been idle for long enough.

    Args:
        host: Address to listen on.
        port: Port to listen on; 0 for a free one.
        state_dir: Folder of the state and the rendered files.
        options: How to behave.
        ready: Called with the base URL once connections are accepted.

    Raises:
        ConfigurationError: The port is taken.
    """
    listening = _listen(host, port)
    address, port = listening.getsockname()[:2]
    url = f"http://{f'[{address}]' if ':' in address else address}:{port}"
    app = create_app(state_dir, options)
    core: Core = app.state.core
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=2,
        server_header=False,
    )
    server = uvicorn.Server(config)

    async def run() -> None:
        async with _watched(server, core):
            ready(url)  # the socket listens already: who connects now is answered in a moment
            await server.serve(sockets=[listening])

    asyncio.run(run())


@contextlib.asynccontextmanager
async def _watched(server: uvicorn.Server, core: Core) -> AsyncGenerator[None]:
    task = asyncio.create_task(_end_when_unneeded(server, core))
    try:
        yield
    finally:
        task.cancel()


async def _end_when_unneeded(server: uvicorn.Server, core: Core) -> None:
    """End an idle server, and one whose state folder was removed under it."""
    idle = core.options.idle_seconds
    while True:
        await asyncio.sleep(min(_WATCH_SECONDS, idle or _WATCH_SECONDS))
        if idle and time.monotonic() - core.last_request > idle:
            break
        if not core.state.path.exists():
            break
    server.should_exit = True


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    if os.name == "posix":
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise ConfigurationError(
            f"The sandbox cannot listen on {host}:{port}: {error.strerror}.",
            hint="Choose another port, or 0 for any that is free.",
        ) from error
    listening.listen(2048)
    return listening
