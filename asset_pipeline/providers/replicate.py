"""Replicate, through its own client, with every trap of that client taken out (see ``wire``)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

import httpx
from pydantic import SecretStr
from replicate.client import Client

from asset_pipeline.clock import Clock, SystemClock
from asset_pipeline.disclosure.addresses import shown_address
from asset_pipeline.disclosure.process_redactor import hide, redacted
from asset_pipeline.errors import ConfigurationError
from asset_pipeline.files import open_private
from asset_pipeline.foreign import addresses
from asset_pipeline.foreign.text import cleaned
from asset_pipeline.origin import Origin
from asset_pipeline.providers.http import (
    CURRENT,
    AiohttpTransport,
    Answered,
    ErrorReply,
    Exchange,
    OversizedReplyError,
    RefusedPeerError,
    Wire,
)
from asset_pipeline.providers.listing import ListingBounds, page_of
from asset_pipeline.providers.neighbours import Neighbours
from asset_pipeline.providers.prediction import (
    MalformedPredictionError,
    Prediction,
    parse_prediction,
)
from asset_pipeline.providers.protocol import (
    Allowance,
    BadAddressError,
    CreateRequest,
    IncompleteListingError,
    NotFoundError,
    OversizedError,
    ProviderError,
    RefusedError,
    TooLargeError,
    UnavailableError,
    UnclearError,
    UnreachableError,
)
from asset_pipeline.providers.unpacking import unpacked

DEFAULT_BASE_URL = "https://api.replicate.com"

# A create answers within a second or two; thirty leave room for a cold start of the API itself.
_REQUEST_SECONDS = 30.0
_DOWNLOAD_SECONDS = 300.0
_MAX_REDIRECTS = 3

# 4xx answers that may follow an accepted create: a proxy gave up waiting (408, 499), a replay
# (409, 425). Every other 4xx is a clear no.
_UNCLEAR_STATUSES = frozenset({408, 409, 425, 499})

# No connection was made, or there was none to be had: not one byte was sent.
_NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.UnsupportedProtocol,
)

# The client's own timeouts are per read: an answer that drips in would never end without this.
_WHOLE_EXCHANGE = 1.2

_NOT_FOUND = 404
_UNAUTHENTICATED = frozenset({401, 403})
_NO_SUCH_ROUTE = frozenset({405, 501})
_LONGEST_ACCOUNT = 200
_LONGEST_WORDS = 500
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_GONE_STATUSES = frozenset({403, 404, 410})


class ReplicateProvider:
    """A :class:`~asset_pipeline.providers.protocol.Provider` on Replicate's HTTP API.

    One object serves one event loop; close it at the end.

    Args:
        token: The API token. It is sent to the API's own host only.
        base_url: The API's bare origin, without ``/v1``.
        request_seconds: How long to wait for an answer of the API.
        download_seconds: How long a whole download may take.
        name: What this provider is called where its work is recorded.
        clock: Measures how far the provider's clock is ahead of ours.
        allow_private_outputs: Download from private addresses though the API's own is public.

    Raises:
        ConfigurationError: The token can't be one.
    """

    def __init__(
        self,
        token: SecretStr,
        base_url: str = DEFAULT_BASE_URL,
        *,
        request_seconds: float = _REQUEST_SECONDS,
        download_seconds: float = _DOWNLOAD_SECONDS,
        name: str = "replicate",
        clock: Clock | None = None,
        allow_private_outputs: bool = False,
    ) -> None:
        timeout = httpx.Timeout(request_seconds, connect=min(5.0, request_seconds))
        self._token = _checked(token)
        self._whole_exchange = request_seconds * _WHOLE_EXCHANGE
        self._download_seconds = download_seconds
        trust = httpx.create_ssl_context()  # 30 ms: read the certificates once, not per client
        self._clock = clock or SystemClock()
        self._wire = Wire(timeout, trust, self._clock)
        self._client = Client(
            api_token=self._token, base_url=base_url, timeout=timeout, transport=self._wire
        )
        self._origin = httpx.URL(base_url)
        self._neighbours = Neighbours(self._origin.host, allow_private=allow_private_outputs)
        self._name = name
        self._asking_origin = asyncio.Lock()
        self._origin_failure: tuple[float, UnavailableError] | None = None
        self._known_origin: Origin | None = None
        self._offsets = (0.0, 0.0)
        self._allowance: Allowance | None = None
        # No client above it: that judges a redirect before we can, by rules of its own.
        self._files = AiohttpTransport(trust, self._neighbours.may_be_asked)
        self._file_timeout = timeout.as_dict()

    async def origin(self) -> Origin:
        """Return who is asked, and by which account; see the protocol."""
        asked = self._clock.monotonic()
        async with self._asking_origin:
            if self._known_origin is None:
                failure = self._origin_failure
                if failure is not None and failure[0] >= asked:
                    raise failure[1]  # all who waited for one question share its failure
                try:
                    account = await self._account()
                except UnavailableError as error:
                    self._origin_failure = self._clock.monotonic(), error
                    raise
                address = shown_address(str(self._origin)).rstrip("/")
                self._known_origin = Origin(self._name, address, account)
            return self._known_origin

    async def _account(self) -> str:
        try:
            document = await self._question(self._client.accounts.async_current())
        except NotFoundError:
            return ""  # a server of one's own that knows no accounts
        except UnavailableError as error:
            if error.status in _NO_SUCH_ROUTE:
                return ""
            if error.status in _UNAUTHENTICATED:
                raise RefusedError(error.message, status=error.status) from error
            raise
        if not isinstance(document, dict):
            return ""
        name = cast("Mapping[str, object]", document).get("username")
        return redacted(cleaned(name, _LONGEST_ACCOUNT)) if isinstance(name, str) else ""

    def clock_offset(self) -> tuple[float, float]:
        """Return what Replicate's clock is ahead of ours; see the protocol."""
        return self._offsets

    async def create(self, request: CreateRequest) -> Prediction:
        """Send exactly one POST; see the protocol."""
        inputs = dict(request.inputs)
        told: dict[str, Any] = {}
        if request.webhook is not None:
            told = {"webhook": request.webhook, "webhook_events_filter": ["completed"]}
        if request.version is None:
            operation = self._client.models.predictions.async_create(
                model=request.model, input=inputs, **told
            )
        else:
            operation = self._client.predictions.async_create(
                version=request.version, input=inputs, **told
            )
        exchange = Exchange({"Cancel-After": f"{request.cancel_after_seconds}s"})
        began = self._clock.now()
        try:
            prediction = parse_prediction(await self._exchange(operation, exchange))
        except ErrorReply as reply:
            kind = UnclearError if _is_unclear(reply.status) else RefusedError
            raise kind(
                reply.sentence,
                status=reply.status,
                retry_after=reply.retry_after,
                invalid_fields=reply.invalid_fields,
            ) from None
        except _NEVER_SENT as error:
            raise UnreachableError(_describe(error)) from error
        except Exception as error:
            # Whatever broke: before the wire nothing was made, after it nobody can tell.
            kind = UnclearError if exchange.sent else UnreachableError
            raise kind(_describe(error)) from error
        finally:
            self._allowance = exchange.allowance
        self._measure_creation(prediction, began)
        return prediction

    def allowance(self) -> Allowance | None:
        """Return what the last answer to a create said of our limit; see the protocol."""
        return self._allowance

    async def get(self, prediction_id: str) -> Prediction:
        """Return a prediction as it stands; see the protocol."""
        return await self._ask(self._client.predictions.async_get(prediction_id))

    async def cancel(self, prediction_id: str) -> Prediction:
        """Ask Replicate to stop a prediction; see the protocol."""
        return await self._ask(self._client.predictions.async_cancel(prediction_id))

    async def list_since(self, since: datetime) -> AsyncGenerator[Prediction]:
        """Yield all predictions created after ``since``; see the protocol."""
        query = urlencode({"created_after": since.astimezone(UTC).isoformat()})
        page: str | None = f"/v1/predictions?{query}"
        bounds = ListingBounds(since, self._clock)
        while page is not None:
            bounds.turn_to(page)
            exchange = Exchange()
            try:
                async with asyncio.timeout(bounds.seconds_left()):
                    document = await self._question(
                        self._client.predictions.async_list(page), exchange
                    )
            except NotFoundError as error:
                raise UnavailableError(error.message, status=error.status) from error
            except OversizedError as error:
                raise IncompleteListingError(f"{error.message}, for a page of a listing") from error
            except TimeoutError as error:
                raise bounds.out_of_time() from error
            rows, following = page_of(document)
            readable = bounds.read(rows, exchange.weight)
            for prediction in readable:
                yield prediction
            if bounds.is_past_window(readable, rows):
                break
            page = None if following is None else bounds.path_of(following)
        bounds.check_all_read()

    async def download(self, url: str, target: Path, *, max_bytes: int) -> int:
        """Stream an output to a file; see the protocol."""
        try:
            async with asyncio.timeout(self._download_seconds):
                return await self._follow(url, target, max_bytes)
        except addresses.BadAddressError as error:
            raise BadAddressError(f"the output has {error}") from error
        except RefusedPeerError as error:
            raise BadAddressError(
                f"the output's address is refused: {_describe(error)}. "
                f"Set ASSET_PIPELINE_ALLOW_PRIVATE_OUTPUTS=1 if your provider serves files there"
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError) as error:
            raise UnavailableError(f"download broke off: {_describe(error)}") from error

    async def model(self, name: str) -> object:
        """Return what the provider says of a model, unchecked; it costs nothing.

        Args:
            name: ``owner/name``.

        Raises:
            NotFoundError: There is no such model, or the token may not see it.
            UnavailableError: There is no answer.
        """
        return await self._question(self._client.models.async_get(name))

    async def aclose(self) -> None:
        """Close all connections."""
        await self._wire.aclose()
        await self._files.aclose()

    async def _follow(self, url: str, target: Path, max_bytes: int) -> int:
        """Download from an address or from where it redirects to, each judged before it is asked.

        Raises:
            addresses.BadAddressError: One of them is none.
            RefusedPeerError: One of them is of a private network.
        """
        await self._neighbours.look()
        address = addresses.judged(url)
        for _ in range(_MAX_REDIRECTS + 1):
            headers = {"Accept": "*/*", "Accept-Encoding": "identity", **self._headers_for(address)}
            request = httpx.Request(
                "GET", address, headers=headers, extensions={"timeout": self._file_timeout}
            )
            response = await self._files.handle_async_request(request)
            async with contextlib.aclosing(response):
                if response.status_code not in _REDIRECTS:
                    return await _save(response, target, max_bytes)
                address = addresses.following(address, response.headers.get("location", ""))
        raise UnavailableError(f"the output redirects more than {_MAX_REDIRECTS} times")

    def _headers_for(self, url: httpx.URL) -> dict[str, str]:
        if addresses.origin_of(url) != addresses.origin_of(self._origin):
            return {}
        return {"Authorization": f"Bearer {self._token}"}

    async def _ask(self, operation: Awaitable[object]) -> Prediction:
        document = await self._question(operation)
        try:
            return parse_prediction(document)
        except MalformedPredictionError as error:
            raise UnavailableError(str(error)) from error

    async def _question(
        self, operation: Awaitable[object], exchange: Exchange | None = None
    ) -> object:
        try:
            return await self._exchange(operation, exchange or Exchange())
        except ErrorReply as reply:
            kind: type[ProviderError] = (
                NotFoundError if reply.status == _NOT_FOUND else UnavailableError
            )
            raise kind(reply.sentence, status=reply.status, retry_after=reply.retry_after) from None
        except OversizedReplyError as error:
            raise OversizedError(str(error)) from error
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError) as error:
            raise UnavailableError(_describe(error)) from error

    async def _exchange(self, operation: Awaitable[object], exchange: Exchange) -> object:
        token = CURRENT.set(exchange)
        try:
            async with asyncio.timeout(self._whole_exchange):
                await operation
        except Answered:
            return exchange.document
        finally:
            CURRENT.reset(token)
            self._measure(exchange.clock_offset)
        raise httpx.RemoteProtocolError("the client ended without an answer")

    def _measure_creation(self, prediction: Prediction, began: datetime) -> None:
        """Learn from a fresh prediction: its stamps may go by another clock than the headers."""
        if prediction.created_at is None:
            return
        now = self._clock.now()
        if prediction.created_at < began:
            self._measure((prediction.created_at - began).total_seconds())
        elif prediction.created_at > now:
            self._measure((prediction.created_at - now).total_seconds())

    def _measure(self, offset: float | None) -> None:
        if offset is not None:
            self._offsets = (min(self._offsets[0], offset), max(self._offsets[1], offset))


def _checked(token: SecretStr) -> str:
    """Return the token without the line end that a secret's file has.

    Anything else odd is refused here: the HTTP library would quote the token in its error.
    """
    secret = token.get_secret_value().strip()
    if not secret or not secret.isascii() or not secret.isprintable() or " " in secret:
        raise ConfigurationError(
            "REPLICATE_API_TOKEN is empty or holds characters that no token has.",
            hint="Copy it again from https://replicate.com/account/api-tokens.",
        )
    hide(secret)
    return secret


async def _save(response: httpx.Response, target: Path, max_bytes: int) -> int:
    status = response.status_code
    if status in _GONE_STATUSES:
        raise NotFoundError(f"the output file is gone (HTTP {status})", status=status)
    if not response.is_success:
        raise UnavailableError(f"download answered HTTP {status}", status=status)
    size = 0
    with open_private(target) as file:
        async with contextlib.aclosing(unpacked(response)) as pieces:
            async for piece in pieces:
                size += len(piece)
                if size > max_bytes:
                    raise TooLargeError(f"the output is larger than {max_bytes:,} bytes")
                file.write(piece)
    return size


def _is_unclear(status: int) -> bool:
    return status >= httpx.codes.INTERNAL_SERVER_ERROR or status in _UNCLEAR_STATUSES


def _describe(error: BaseException) -> str:
    return cleaned(f"{type(error).__name__}: {error}".rstrip(": "), _LONGEST_WORDS)
