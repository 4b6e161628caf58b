"""Running the application under uvicorn, until told to stop or no longer needed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator
from pathlib import Path
from types import FrameType

import uvicorn
from starlette.types import Scope

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
        ConfigurationError: The port is taken, or the fault plan or the catalog cannot be used.
    """
    server = SandboxServer(host, port, state_dir, options)
    with _signals_call(server.stop):
        ready(server.url)
        server.run()


class SandboxServer:
    """A server that listens from its creation on, and answers once :meth:`run` is called.

    Args:
        host: Address to listen on.
        port: Port to listen on; 0 for a free one.
        state_dir: Folder of the state and the rendered files.
        options: How to behave.

    Raises:
        ConfigurationError: The port is taken, or the fault plan or the catalog cannot be used.
    """

    def __init__(self, host: str, port: int, state_dir: Path, options: SandboxOptions) -> None:
        app = create_app(state_dir, options)
        self._core: Core = app.state.core
        self._core.drop = self._drop
        self._listening = _listen(host, port)
        address, port = self._listening.getsockname()[:2]
        self._core.hosts = frozenset({host.lower(), address})
        self.url = f"http://{f'[{address}]' if ':' in address else address}:{port}"
        self._config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=2,
            server_header=False,
            date_header=False,  # the application's own goes by the clock that clients see
            proxy_headers=False,  # a client's word for who it is would spoil dropped connections
            ws="none",
        )
        self._server = uvicorn.Server(self._config)

    def run(self) -> None:
        """Answer until stopped; in the main thread, signals stop it too."""
        with asyncio.Runner(loop_factory=self._config.get_loop_factory()) as runner:
            runner.run(self._serve())

    def stop(self) -> None:
        """Ask it to end; from any thread."""
        self._server.should_exit = True

    async def _serve(self) -> None:
        async with self._watched():
            await self._server.serve(sockets=[self._listening])

    @contextlib.asynccontextmanager
    async def _watched(self) -> AsyncGenerator[None]:
        task = asyncio.create_task(self._stop_when_unneeded())
        try:
            yield
        finally:
            task.cancel()

    async def _stop_when_unneeded(self) -> None:
        """Stop when idle for long enough, or when the state folder was removed underneath."""
        core, idle = self._core, self._core.options.idle_seconds
        while core.state.path.exists():
            await asyncio.sleep(min(_WATCH_SECONDS, idle or _WATCH_SECONDS))
            if core.late.busy:
                core.last_request = time.monotonic()
            if idle and time.monotonic() - core.last_request > idle:
                break
        self.stop()

    def _drop(self, scope: Scope) -> None:
        """Close the connection that a request came on."""
        for protocol in list(self._server.server_state.connections):
            if getattr(protocol, "client", None) == scope["client"]:
                protocol.transport.close()


@contextlib.contextmanager
def _signals_call(stop: Callable[[], None]) -> Generator[None]:
    """Let SIGINT and SIGTERM stop the server at whatever point of its start they arrive.

    A handler that raises is not enough: what it raises can be lost in a callback, and then the
    server never ends. While it serves, uvicorn has handlers of its own.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:
        del number, frame
        stop()

    before = {each: signal.signal(each, handle) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


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
