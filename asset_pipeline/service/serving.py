"""Serving until told to stop: on this machine alone unless somebody said who may come in."""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Callable
from types import FrameType
from urllib.parse import urlsplit

import uvicorn

from asset_pipeline.errors import ConfigurationError
from asset_pipeline.service.app import create_app
from asset_pipeline.service.context import ServiceContext
from asset_pipeline.service.identity import login_required

# A stop takes five seconds at the most, open streams and slow readers included.
_STOP_SECONDS = 3

# So long requests are still answered after a signal, while /readyz says that they should not come.
_DRAIN_SECONDS = 1.0


def is_loopback(host: str) -> bool:
    """Tell whether an address is reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_address(context: ServiceContext, host: str) -> None:
    """Refuse to listen where others may come in as long as nobody knows who they are.

    Raises:
        ConfigurationError: The address is not this machine's own, and there is neither a key nor a
            trusted proxy.
    """
    if is_loopback(host) or login_required(context):
        return
    raise ConfigurationError(
        f"{host} is reached from other machines, and anybody who reaches the service could spend.",
        hint="Create a key first: `asset-pipeline keys create NAME --scope admin`. Or name the "
        "proxy that logs people in: ASSET_PIPELINE_TRUSTED_PROXIES=10.0.0.5.",
    )


def own_names(host: str, service_url: str | None) -> frozenset[str]:
    """Return the names that the service answers to; all where it listens to other machines.

    A page of another site can make its own name point to this machine; on loopback, where nobody
    has to log in, such a call has to be told from one of ours by the name.

    Args:
        host: The address it listens at.
        service_url: Its public address: a proxy before it calls it by that name.
    """
    if not is_loopback(host):
        return frozenset()
    public = (urlsplit(service_url).hostname if service_url else None) or "localhost"
    return frozenset({"localhost", "127.0.0.1", "::1", host, public})


def serve(context: ServiceContext, host: str, port: int, tell: Callable[[str], None]) -> None:
    """Serve until a signal comes.

    Raises:
        ConfigurationError: The address can't be used.
    """
    check_address(context, host)
    app = create_app(context, hosts=own_names(host, context.settings.service_url))
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        proxy_headers=False,  # who calls is decided by whose address it is
        server_header=False,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=_STOP_SECONDS,
        h11_max_incomplete_event_size=64 * 1024,
        limit_concurrency=None,
    )
    listening = _listen(host, port)
    shown = f"[{host}]" if ":" in host else host
    tell(f"http://{shown}:{listening.getsockname()[1]}")
    _Server(config, context).run(sockets=[listening])


class _Server(uvicorn.Server):
    """Ends open streams when a signal comes; uvicorn alone would wait for them for ever."""

    def __init__(self, config: uvicorn.Config, context: ServiceContext) -> None:
        super().__init__(config)
        self._context = context
        self._drained_at: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop taking requests, and let streams end; a second signal waits for nothing.

        Uvicorn's own would raise the signal again at the end, as if the stop had not been in order.
        """
        del sig, frame
        if self._context.stopping.is_set():
            self.force_exit = self.should_exit
            self.should_exit = True
            return
        self._context.stopping.set()
        # Meanwhile /readyz says 503, so that whoever sends requests here hears of it.
        self._drained_at = time.monotonic() + _DRAIN_SECONDS

    async def on_tick(self, counter: int) -> bool:
        """End once the drain is over; uvicorn asks ten times a second."""
        if self._drained_at is not None and time.monotonic() >= self._drained_at:
            self.should_exit = True
        return await super().on_tick(counter)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        # From here on calls wait for the application: its address is told before it is there.
        listening.listen(2048)
    except OSError as error:
        listening.close()
        raise ConfigurationError(
            f"{host}:{port} can't be listened on: {error.strerror or error}.",
            hint="Choose another with --port, or end what listens there.",
        ) from None
    listening.set_inheritable(True)
    return listening
