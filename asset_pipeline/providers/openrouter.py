"""OpenRouter: one POST a call over the project's own connections, and nothing that repeats it.

The clients that there are send a lost call up to three times, and each is charged. Here a call is
one request with a bound in time and size, and what an answer means for money is told by the class
of the error. Facts that the code relies on:

- an error can arrive inside an answer of status 200, beside or instead of ``choices``;
- ``usage.cost`` comes with each answer, in US dollars;
- a reply that is lost can't be listed: only ``usage`` of the key tells later whether it was paid.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import cast

import httpx
from pydantic import JsonValue, SecretStr

from asset_pipeline.catalog.token_prices import TokenPrice
from asset_pipeline.clock import Clock, SystemClock
from asset_pipeline.disclosure.addresses import shown_address
from asset_pipeline.disclosure.process_redactor import hide, redacted
from asset_pipeline.errors import ConfigurationError
from asset_pipeline.foreign import addresses
from asset_pipeline.foreign.document import read_json
from asset_pipeline.foreign.text import cleaned, is_id, number, written_number
from asset_pipeline.providers.chat import ChatAnswer, ChatRequest, UnreadableAnswerError
from asset_pipeline.providers.http import AiohttpTransport
from asset_pipeline.providers.protocol import (
    NotFoundError,
    ProviderError,
    RefusedError,
    UnavailableError,
    UnclearError,
    UnreachableError,
)
from asset_pipeline.providers.unpacking import unpacked

DEFAULT_BASE_URL = "https://openrouter.ai/api/v1"

_API_PATH = "/api/v1"

# A model that thinks takes minutes; a slow drip ends here whatever it drips.
_CALL_SECONDS = 180.0
_QUESTION_SECONDS = 20.0
_CONNECT_SECONDS = 5.0

# An answer of 16,000 tokens has 100 kB; the list of all models has one megabyte.
_MAX_ANSWER_BYTES = 4 * 1024 * 1024
_MAX_LIST_BYTES = 32 * 1024 * 1024
_MAX_ERROR_BYTES = 256 * 1024

_LONGEST_SENTENCE = 500
_LONGEST_CONTENT = 1_000_000
_LONGEST_NAME = 200
_LONGEST_NUMBER = 64
_MOST_MODELS = 20_000
_LONGEST_PAUSE = 86_400.0

# In US dollars; more than a key can have.
_MOST_USD = 1e9
_MOST_TOKENS = 1e9
_DEAREST_TOKEN = Decimal(1)
_PER_MILLION = 1_000_000

_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol)
_UNCLEAR_STATUSES = frozenset({408, 409, 425, 499})
_NOT_FOUND = 404
_KEY_REFUSED = frozenset({401, 403})
_BEGUN_ID = re.compile(rb'"id"\s*:\s*"([A-Za-z0-9][A-Za-z0-9_.:-]{0,63})"')


class OpenRouterProvider:
    """A :class:`~asset_pipeline.providers.chat.ChatProvider` on OpenRouter's HTTP API.

    One object serves one event loop; close it at the end.

    Args:
        key: The API key; it is sent to ``base_url`` only.
        base_url: The API's root; ``/api/v1`` is added where it has no path.
        name: What this provider is called where its work is recorded.
        call_seconds: How long a whole call may take.
        clock: Dates the prices.

    Raises:
        ConfigurationError: Key or address can't be one.
    """

    def __init__(
        self,
        key: SecretStr,
        base_url: str = DEFAULT_BASE_URL,
        *,
        name: str = "openrouter",
        call_seconds: float = _CALL_SECONDS,
        clock: Clock | None = None,
    ) -> None:
        self._key = _checked(key)
        self._root = _root_of(base_url)
        self._name = name
        self._call_seconds = call_seconds
        self._clock = clock or SystemClock()
        self._transport = AiohttpTransport(httpx.create_ssl_context())

    @property
    def name(self) -> str:
        """What it is called where its work is recorded."""
        return self._name

    @property
    def base_url(self) -> str:
        """The address that is asked, without secrets."""
        return shown_address(self._root)

    @property
    def account(self) -> str:
        """Which key pays: a digest of it, never the key."""
        return f"key {hashlib.sha256(self._key.encode()).hexdigest()[:12]}"

    async def prices(self) -> dict[str, TokenPrice]:
        """Return what each model charges now; see the protocol."""
        rows = _rows(await self._question("/models", _MAX_LIST_BYTES))
        listed_at = self._clock.now()
        found = (_price_of(row, listed_at) for row in rows[:_MOST_MODELS])
        return {price.model: price for price in found if price is not None}

    async def key_usage(self) -> Decimal:
        """Return what the key has spent in all; see the protocol."""
        try:
            data = _mapping(_mapping(await self._question("/key", _MAX_ERROR_BYTES)).get("data"))
        except UnavailableError as error:
            if error.status in _KEY_REFUSED:
                raise RefusedError(error.message, status=error.status) from error
            raise
        except NotFoundError as error:
            raise UnavailableError("the server tells nothing of the key's usage") from error
        usage = _dollars(data.get("usage"))
        if usage is None:
            raise UnavailableError("the key's usage is no number")
        return usage

    async def cost_of(self, generation_id: str) -> Decimal | None:
        """Return what a finished call cost; see the protocol."""
        if not is_id(generation_id):
            return None
        path = f"/generation?id={generation_id}"
        try:
            document = await self._question(path, _MAX_ANSWER_BYTES)
        except NotFoundError:
            return None
        return _dollars(_mapping(_mapping(document).get("data")).get("total_cost"))

    async def complete(self, request: ChatRequest, price: TokenPrice) -> ChatAnswer:
        """Send exactly one POST; see the protocol."""
        content: dict[str, JsonValue] = {
            **request.content(),
            # No answer from whoever takes other parameters, or more money, than was reserved for.
            "provider": {
                "require_parameters": True,
                "max_price": {
                    "prompt": float(price.prompt * _PER_MILLION),
                    "completion": float(price.completion * _PER_MILLION),
                },
            },
        }
        body = json.dumps(content, ensure_ascii=False).encode()
        sent = self._request("POST", "/chat/completions", self._call_seconds, body)
        try:
            async with asyncio.timeout(self._call_seconds):
                response = await self._transport.handle_async_request(sent)
                return await _answer_of(response)
        except ProviderError:
            raise
        except _NEVER_SENT as error:
            raise UnreachableError(_describe(error)) from error
        except Exception as error:
            # Whatever broke: the request may have arrived, and then it is paid for.
            raise UnclearError(f"no clear answer: {_describe(error)}") from error

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.aclose()

    def _request(
        self, method: str, path: str, seconds: float, body: bytes | None = None
    ) -> httpx.Request:
        timeout = httpx.Timeout(seconds, connect=min(_CONNECT_SECONDS, seconds))
        return httpx.Request(
            method,
            f"{self._root}{path}",
            headers={
                "Authorization": f"Bearer {self._key}",
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                "Content-Type": "application/json",
                "X-Title": "asset-pipeline",
            },
            content=body,
            extensions={"timeout": timeout.as_dict()},
        )

    async def _question(self, path: str, most_bytes: int) -> object:
        """Return the answer to a question that costs nothing.

        Raises:
            UnavailableError: There is none to be had now.
            NotFoundError: The provider does not know what was asked for.
        """
        request = self._request("GET", path, _QUESTION_SECONDS)
        try:
            async with asyncio.timeout(_QUESTION_SECONDS):
                response = await self._transport.handle_async_request(request)
                body = await _read_some(response, most_bytes)
            return _document_of(response.status_code, body)
        except ProviderError:
            raise
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError) as error:
            raise UnavailableError(_describe(error)) from error


def _checked(key: SecretStr) -> str:
    secret = key.get_secret_value().strip()
    if not secret or not secret.isascii() or not secret.isprintable() or " " in secret:
        raise ConfigurationError(
            "OPENROUTER_API_KEY is empty or holds characters that no key has.",
            hint="Copy it again from https://openrouter.ai/settings/keys.",
        )
    hide(secret)
    return secret


def _root_of(base_url: str) -> str:
    try:
        url = addresses.judged(base_url.strip().rstrip("/"))
    except addresses.BadAddressError as error:
        raise ConfigurationError(
            f"OPENROUTER_BASE_URL is {error}.", hint=f"The usual one is {DEFAULT_BASE_URL}."
        ) from None
    if url.query or url.fragment:
        raise ConfigurationError(
            "OPENROUTER_BASE_URL has a query in it.", hint=f"The usual one is {DEFAULT_BASE_URL}."
        )
    root = str(url).rstrip("/")
    return root + _API_PATH if url.path in {"", "/"} else root


async def _read_some(response: httpx.Response, most_bytes: int) -> bytes:
    body = bytearray()
    await _read_into(body, response, most_bytes)
    return bytes(body)


async def _read_into(body: bytearray, response: httpx.Response, most_bytes: int) -> None:
    """Read a body; what came before it broke off is kept.

    Raises:
        ValueError: It is larger than that.
        httpx.HTTPError: It is not whole.
    """
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(response.aclose)
        pieces = await stack.enter_async_context(contextlib.aclosing(unpacked(response)))
        async for piece in pieces:
            body += piece
            if len(body) > most_bytes:
                raise ValueError(f"an answer of more than {most_bytes:,} bytes")


async def _read_error(response: httpx.Response) -> bytes:
    """Return an error's body; empty when there is none whole, since the status is an answer."""
    try:
        return await _read_some(response, _MAX_ERROR_BYTES)
    except (httpx.HTTPError, ValueError):
        return b""


async def _answer_of(response: httpx.Response) -> ChatAnswer:
    """Return what the answer to a call says.

    Raises:
        RefusedError: It is a clear no.
        UnclearError: It tells nothing.
        UnreadableAnswerError: It is cut, or no JSON, or none of a call.
    """
    if response.status_code >= httpx.codes.BAD_REQUEST:
        raise _refusal_of(response, await _read_error(response))
    if response.status_code >= httpx.codes.MULTIPLE_CHOICES:
        await response.aclose()
        raise RefusedError(f"HTTP {response.status_code}: redirects are not followed")
    body = bytearray()
    try:
        await _read_into(body, response, _MAX_ANSWER_BYTES)
        document = read_json(bytes(body))[0]
    except (httpx.HTTPError, ValueError) as error:
        begun = _BEGUN_ID.search(bytes(body))
        raise UnreadableAnswerError(
            f"an answer that can't be read: {_describe(error)}",
            generation_id=begun[1].decode() if begun else "",
        ) from error
    if not isinstance(document, dict):
        raise UnreadableAnswerError("an answer that is no object")
    return _parsed(cast("Mapping[str, object]", document))


def _document_of(status: int, body: bytes) -> object:
    if status >= httpx.codes.BAD_REQUEST:
        kind = NotFoundError if status == _NOT_FOUND else UnavailableError
        raise kind(_sentence(status, body), status=status)
    return read_json(body)[0]


def _parsed(document: Mapping[str, object]) -> ChatAnswer:
    choices = document.get("choices")
    rows: list[object] = cast("list[object]", choices) if isinstance(choices, list) else []
    choice = _mapping(rows[0] if rows else None)
    message = _mapping(choice.get("message"))
    usage = _mapping(document.get("usage"))
    error = _error_of(document.get("error")) or _error_of(choice.get("error"))
    finish = _text(choice.get("finish_reason"), _LONGEST_NAME)
    if not error and finish == "error":
        error = "the provider broke off"
    if not error and not rows:
        error = "an answer without any choice"
    found = document.get("id")
    return ChatAnswer(
        generation_id=cast("str", found) if is_id(found) else "",
        model=_text(document.get("model"), _LONGEST_NAME),
        content=_content_of(message.get("content")),
        refusal=_text(message.get("refusal"), _LONGEST_SENTENCE),
        finish_reason=finish,
        error=error,
        cost=_dollars(usage.get("cost")),
        prompt_tokens=_count(usage.get("prompt_tokens")),
        completion_tokens=_count(usage.get("completion_tokens")),
    )


def _content_of(value: object) -> str:
    """Return what was written, cut in length and otherwise as it came: it is JSON, parsed later."""
    if isinstance(value, str):
        return value[:_LONGEST_CONTENT]
    if isinstance(value, list):  # some models answer in parts
        parts = (_mapping(part).get("text") for part in cast("list[object]", value)[:1000])
        return "".join(part for part in parts if isinstance(part, str))[:_LONGEST_CONTENT]
    return ""


def _refusal_of(response: httpx.Response, body: bytes) -> ProviderError:
    status = response.status_code
    unclear = status >= httpx.codes.INTERNAL_SERVER_ERROR or status in _UNCLEAR_STATUSES
    kind = UnclearError if unclear else RefusedError
    pause = written_number(response.headers.get("retry-after", ""), _LONGEST_PAUSE)
    return kind(_sentence(status, body), status=status, retry_after=pause)


def _sentence(status: int, body: bytes) -> str:
    said = _error_of(_said(body).get("error"))
    return f"HTTP {status}: {said}" if said else f"HTTP {status}"


def _said(body: bytes) -> Mapping[str, object]:
    try:
        return _mapping(read_json(body)[0])
    except ValueError:
        return {}


def _error_of(value: object) -> str:
    """Return what an error object says; empty for none."""
    if isinstance(value, str):
        return _text(value, _LONGEST_SENTENCE)
    if not isinstance(value, dict):
        return ""
    fields = _mapping(cast("object", value))
    message = _text(fields.get("message"), _LONGEST_SENTENCE)
    code = fields.get("code")
    known = str(code) if isinstance(code, str | int) and not isinstance(code, bool) else ""
    return message or (
        f"error {cleaned(known, _LONGEST_NAME)}" if known else "an error unexplained"
    )


def _price_of(row: object, listed_at: datetime) -> TokenPrice | None:
    """Return a model's price; None for a row that names none, or none that is fixed."""
    fields = _mapping(row)
    pricing = _mapping(fields.get("pricing"))
    name = fields.get("id")
    sent = _dearest(pricing, "prompt", "input_cache_write")
    written = _dearest(pricing, "completion", "internal_reasoning")
    per_request = _dearest(pricing, "request") if pricing.get("request") is not None else Decimal(0)
    if not isinstance(name, str) or len(name) > _LONGEST_NAME:
        return None
    if sent is None or written is None or per_request is None:
        return None
    bounds = _mapping(fields.get("top_provider"))
    return TokenPrice(
        model=cleaned(name, _LONGEST_NAME),
        prompt=sent,
        completion=written,
        request=per_request,
        context_length=_count(fields.get("context_length")) or 0,
        max_completion_tokens=_count(bounds.get("max_completion_tokens")) or 0,
        listed_at=listed_at,
    )


def _dearest(pricing: Mapping[str, object], name: str, other: str | None = None) -> Decimal | None:
    """Return the dearer of two prices of a token, the second of which need not be there.

    Tokens that a model thinks in, or that go into a cache, may cost more than others. A price that
    is there and can't be read is no price, not a price of nothing.
    """
    price = _token_price(pricing.get(name))
    if price is None or other is None or pricing.get(other) is None:
        return price
    more = _token_price(pricing.get(other))
    return None if more is None else max(price, more)


def _token_price(value: object) -> Decimal | None:
    """Return a price in US dollars; None for none, or for one below zero: "it depends"."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    written = str(value)
    if len(written) > _LONGEST_NUMBER:
        return None
    try:
        price = Decimal(written)
    except InvalidOperation:
        return None
    return price if price.is_finite() and 0 <= price <= _DEAREST_TOKEN else None


def _dollars(value: object) -> Decimal | None:
    is_written = isinstance(value, str) and written_number(value, _MOST_USD) is not None
    if not is_written and number(value, _MOST_USD) is None:
        return None
    try:
        return Decimal(str(value).strip())
    except InvalidOperation:
        return None


def _count(value: object) -> int | None:
    found = number(value, _MOST_TOKENS)
    return None if found is None else int(found)


def _rows(document: object) -> list[object]:
    rows = _mapping(document).get("data")
    if not isinstance(rows, list):
        raise UnavailableError("a list of models that is none")
    return cast("list[object]", rows)


def _mapping(value: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", value) if isinstance(value, dict) else {}


def _text(value: object, longest: int) -> str:
    return redacted(cleaned(value, longest)) if isinstance(value, str) else ""


def _describe(error: BaseException) -> str:
    return cleaned(f"{type(error).__name__}: {error}".rstrip(": "), _LONGEST_SENTENCE)
