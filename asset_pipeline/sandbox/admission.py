"""Whose requests are let in at all: those meant for this server, and none that a web page smuggled.

A browser on the same machine reaches a server on loopback. A page from anywhere could therefore
move its clock or load fault rules: by a request of its own, which the browser labels as
cross-site, or under a name of its own that it lets point to loopback (DNS rebinding), where the
``Host`` is not ours. Programs send neither label and are asked for the ``Host`` alone.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from asset_pipeline.sandbox.core import Core
from asset_pipeline.sandbox.problems import ProblemResponse, problem

_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::[0-9]{1,5})?")
_READING = frozenset({"GET", "HEAD"})
# What a browser says of a request that a page of this very server, or its user, made.
_OWN_SITES = frozenset({"same-origin", "none"})


class Admission:
    """ASGI middleware around everything but the date.

    Args:
        app: What is behind it.
        core: Knows the names that the server was bound to.
    """

    def __init__(self, app: ASGIApp, core: Core) -> None:
        self._app = app
        self._core = core

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or refuse it."""
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        await (self._app if refusal is None else refusal)(scope, receive, send)

    def _refusal(self, scope: Scope) -> ProblemResponse | None:
        headers = Headers(scope=scope)
        given = headers.getlist("host")
        if len(given) != 1:
            return problem(400, "Bad request", "A request names one Host.")
        if not self._is_ours(given[0], scope):
            detail = (
                "This server answers to localhost, to loopback addresses and to the address it "
                "was started on; it does not serve the host that the request names."
            )
            return problem(421, "Misdirected request", detail)
        guarded = scope["method"] not in _READING or scope["path"].startswith("/sandbox")
        if guarded and not _comes_from_here(headers, f"{scope['scheme']}://{given[0]}"):
            detail = "A page of another site may not change this server or read its controls."
            return problem(403, "Forbidden", detail)
        return None

    def _is_ours(self, host: str, scope: Scope) -> bool:
        match = _HOST.fullmatch(host)
        if match is None:
            return False
        name = (match[1] or match[2]).lower()
        if name == "localhost" or name in self._core.hosts:
            return True
        address = _address(name)
        # Bound to every address of the machine, it is known by the one that was connected to.
        reached = _address(str((scope.get("server") or ("",))[0]))
        return address is not None and (address.is_loopback or address == reached)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    # A server on "::" sees clients of its IPv4 addresses at mapped ones.
    return getattr(address, "ipv4_mapped", None) or address


def _comes_from_here(headers: Headers, own_origin: str) -> bool:
    origins = {origin.lower() for origin in headers.getlist("origin")}
    return origins <= {own_origin.lower()} and set(headers.getlist("sec-fetch-site")) <= _OWN_SITES
