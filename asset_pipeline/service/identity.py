"""Who calls, and what they may do: a key, a browser's session, a proxy's word, or this machine."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from fastapi import Request

from asset_pipeline.ledger.api_keys import ApiKey, csrf_token, scopes_from
from asset_pipeline.ledger.service_schema import Scope
from asset_pipeline.money import MicroUsd
from asset_pipeline.service.context import ServiceContext, context_of
from asset_pipeline.service.problems import ProblemError
from asset_pipeline.service.rates import admit

COOKIE = "__Host-asset_pipeline"
CSRF_HEADER = "X-CSRF-Token"

_SAFE = {"GET", "HEAD", "OPTIONS"}
_LONGEST_USER = 100


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls.

    Attributes:
        owner: Under which name what they submit is theirs.
        by_browser: Whether a page of another site could have made the browser call.
    """

    actor: str
    owner: str
    scopes: frozenset[Scope]
    key_id: str | None = None
    rate_per_minute: int | None = None
    budget: MicroUsd | None = None
    by_browser: bool = False

    def may(self, scope: Scope) -> bool:
        """Tell whether they have a scope; an admin has all of them."""
        return scope in self.scopes or Scope.ADMIN in self.scopes

    @property
    def sees_all(self) -> bool:
        """Whether what others submitted is theirs to see."""
        return Scope.ADMIN in self.scopes


LOCAL = Caller("local", "local", frozenset(Scope), by_browser=True)
"""Whoever reaches a service that listens on this machine alone and knows no keys."""


def require(scope: Scope) -> Callable[[Request], Awaitable[Caller]]:
    """Return a dependency that lets in who has a scope, within their rate."""

    async def dependency(request: Request) -> Caller:
        context = context_of(request)
        caller = identify(request, context)
        request.state.caller = caller
        if caller.by_browser and request.method not in _SAFE:
            check_origin(request, context)
        await admit(request, caller.owner, caller.rate_per_minute)
        if not caller.may(scope):
            raise ProblemError(
                403, "scope_missing", f"This needs the scope {scope.value!r}, which you don't have."
            )
        return caller

    return dependency


def identify(request: Request, context: ServiceContext) -> Caller:
    """Return who calls.

    Raises:
        ProblemError: They don't say, or what they say is not true.
    """
    given = request.headers.get("authorization")
    if given is not None:
        return _by_key(given, context)
    session = request.cookies.get(COOKIE)
    if session:
        key = context.keys.session(session)
        if key is not None:
            if request.method not in _SAFE:
                _check_csrf(request, session)
            return _of_key(key, by_browser=True)
    forwarded = _forwarded(request, context)
    if forwarded is not None:
        return forwarded
    if login_required(context):
        raise _unauthenticated("Say who you are: Authorization: Bearer ap_...")
    return LOCAL


def login_required(context: ServiceContext) -> bool:
    """Tell whether this machine's own callers have to say who they are too.

    They need not while there is neither a key nor a proxy: once there is one, a proxy on this
    machine may hand on what comes from anywhere.
    """
    return bool(context.proxies) or context.keys.any()


def check_origin(request: Request, context: ServiceContext) -> None:
    """Refuse what a page of another site makes a browser send.

    Raises:
        ProblemError: It comes from another site.
    """
    origin = request.headers.get("origin")
    site = request.headers.get("sec-fetch-site")
    if origin is None:
        if site in {None, "same-origin", "none"}:
            return
    elif origin in context.cors_origins or origin in _own_origins(request, context):
        return
    raise ProblemError(403, "foreign_origin", "This came from a page of another site.")


def _own_origins(request: Request, context: ServiceContext) -> set[str]:
    own = {f"{request.url.scheme}://{request.headers.get('host', '')}"}
    if context.settings.service_url:
        public = urlsplit(context.settings.service_url)
        own.add(f"{public.scheme}://{public.netloc}")
    return own


def _by_key(given: str, context: ServiceContext) -> Caller:
    scheme, _, text = given.partition(" ")
    key = context.keys.check(text.strip()) if scheme.lower() == "bearer" else None
    if key is None:
        raise _unauthenticated("This key is not known, has expired or was revoked.")
    return _of_key(key)


def _of_key(key: ApiKey, *, by_browser: bool = False) -> Caller:
    return Caller(
        actor=f"key:{key.key_id} ({key.name})",
        owner=f"key:{key.key_id}",
        scopes=key.scopes,
        key_id=key.key_id,
        rate_per_minute=key.rate_per_minute,
        budget=key.budget,
        by_browser=by_browser,
    )


def _check_csrf(request: Request, session: str) -> None:
    given = request.headers.get(CSRF_HEADER, "")
    if not hmac.compare_digest(given.encode(), csrf_token(session).encode()):
        raise ProblemError(
            403, "csrf", f"A session's request that changes something needs {CSRF_HEADER}."
        )


def _forwarded(request: Request, context: ServiceContext) -> Caller | None:
    """Return who a listed proxy says is calling; nobody else's word is heard."""
    user = request.headers.get(context.settings.proxy_user_header, "").strip()
    peer = None if request.client is None else request.client.host
    if not user or peer is None or not context.proxies:
        return None
    try:
        address = ip_address(peer)
    except ValueError:
        return None
    if not any(address in network for network in context.proxies):
        return None
    if len(user) > _LONGEST_USER or not user.isprintable():
        raise _unauthenticated("The forwarded name is none.")
    scopes = scopes_from(context.settings.proxy_scopes.split(","))
    return Caller(f"user:{user}", f"user:{user}", scopes, by_browser=True)


def _unauthenticated(detail: str) -> ProblemError:
    headers = {"WWW-Authenticate": 'Bearer realm="asset-pipeline"'}
    return ProblemError(401, "unauthenticated", detail, headers=headers)
