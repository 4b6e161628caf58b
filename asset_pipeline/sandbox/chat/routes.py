"""The routes below ``/api/v1``: a call, the models, the key, one call's cost; and the bill."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator
from decimal import Decimal
from typing import Any, cast

from pydantic import JsonValue
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from asset_pipeline.sandbox.accounts import token_of
from asset_pipeline.sandbox.chat.models import MODELS, ChatModel, tokens_of
from asset_pipeline.sandbox.chat.repository import Accepted, ChatRepository
from asset_pipeline.sandbox.chat.writer import written_answer
from asset_pipeline.sandbox.core import Core
from asset_pipeline.sandbox.faults.names import FaultName
from asset_pipeline.sandbox.faults.names import Route as FaultRoute
from asset_pipeline.sandbox.faults.plan import FaultRule
from asset_pipeline.sandbox.faults.registry import Event
from asset_pipeline.sandbox.faults.transport_faults import DroppedConnectionError

_BAD_KEY = "sk-or-wrong"
_POOR_KEY = "sk-or-poor"

_DRIP_SECONDS = 0.2
_CUT_AT = 0.6
_MOST_TOKENS = 4096

_REFUSAL = "I can't help with that."


class ChatRefusedError(Exception):
    """Raised to answer with an error in OpenRouter's own form."""

    def __init__(self, status: int, message: str, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        body = {"error": {"code": status, "message": message}}
        self.response = JSONResponse(body, status, headers)


class ChatRoutes:
    """Handlers on one :class:`Core`."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._calls = ChatRepository(core.state)

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/api/v1/chat/completions", self.complete, methods=["POST"]),
            Route("/api/v1/models", self.models, methods=["GET"]),
            Route("/api/v1/key", self.key, methods=["GET"]),
            Route("/api/v1/generation", self.generation, methods=["GET"]),
            Route("/sandbox/chats", self.bill, methods=["GET"]),
        ]

    async def complete(self, request: Request) -> Response:
        """Answer one call; from its acceptance on it is paid for, whatever becomes of the reply."""
        try:
            account = _account_of(request, paying=True)
            asked = _read(await request.body())
            model = _model_of(asked)
            told = _told(asked)
            subject = json.dumps(asked, sort_keys=True)
            rule = self._core.faults.fire(Event(FaultRoute.CHAT, model.name, told, subject))
            await _strike_before(rule)
        except ChatRefusedError as error:
            return error.response
        most = asked.get("max_tokens")
        limit = most if isinstance(most, int) and most > 0 else _MOST_TOKENS
        content, finish = _bounded(written_answer(asked), limit)
        content, finish, refusal = _spoilt(rule, content, finish)
        sent = tokens_of(json.dumps(asked.get("messages"))) + tokens_of(
            json.dumps(asked.get("response_format"))
        )
        written = min(tokens_of(content or refusal or ""), limit)
        call = self._calls.accept(account, model.name, sent, written, model.cost(sent, written))
        if rule is not None and rule.fault is FaultName.LOST_REPLY_AFTER:
            raise DroppedConnectionError
        if rule is not None and rule.fault is FaultName.ERROR_5XX_AFTER:
            return ChatRefusedError(rule.params.status or 502, "Provider returned error").response
        return _reply(rule, call, content, finish, refusal, self._core.state.now_us())

    async def models(self, request: Request) -> Response:
        """Return the models with their prices; no key is needed."""
        del request
        return JSONResponse({"data": [model.shown() for model in MODELS.values()]})

    async def key(self, request: Request) -> Response:
        """Return what the key has spent."""
        try:
            account = _account_of(request)
        except ChatRefusedError as error:
            return error.response
        usage = sum((call.cost for call in self._calls.all(account)), Decimal(0))
        data: dict[str, JsonValue] = {
            "label": "sandbox",
            "usage": float(usage),
            "limit": None,
            "limit_remaining": None,
            "is_free_tier": False,
        }
        return JSONResponse({"data": data})

    async def generation(self, request: Request) -> Response:
        """Return what one call cost."""
        try:
            account = _account_of(request)
        except ChatRefusedError as error:
            return error.response
        call = self._calls.find(request.query_params.get("id", ""), account)
        if call is None:
            return ChatRefusedError(404, "Generation not found").response
        return JSONResponse({"data": call.shown()})

    async def bill(self, request: Request) -> Response:
        """Return every call accepted and what it cost, oldest first; a route of the sandbox's."""
        del request
        calls = self._calls.all()
        total = sum((call.cost for call in calls), Decimal(0))
        return JSONResponse(
            {
                "calls": [call.shown() for call in calls],
                "accepted": len(calls),
                "total_usd": f"{total:f}",
            }
        )


def _account_of(request: Request, *, paying: bool = False) -> str:
    token = token_of(request.headers)
    if not token or token.startswith(_BAD_KEY):
        raise ChatRefusedError(401, "No auth credentials found")
    if paying and token.startswith(_POOR_KEY):
        raise ChatRefusedError(402, "Insufficient credits")
    return hashlib.sha256(token.encode()).hexdigest()[:12]


def _read(body: bytes) -> dict[str, Any]:
    try:
        document: object = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise ChatRefusedError(400, "The body is no JSON object")
    asked = cast("dict[str, Any]", document)
    messages = asked.get("messages")
    if not isinstance(messages, list) or not messages:
        raise ChatRefusedError(400, 'Input required: specify "messages"')
    if not all(isinstance(message, dict) for message in cast("list[object]", messages)):
        raise ChatRefusedError(400, "A message is an object")
    return asked


def _model_of(asked: dict[str, Any]) -> ChatModel:
    name = asked.get("model")
    model = MODELS.get(name) if isinstance(name, str) else None
    if model is None:
        raise ChatRefusedError(400, f"{name} is not a valid model ID")
    return model


def _told(asked: dict[str, Any]) -> str:
    """Return all that the messages say, for the rules that match a part of it."""
    return "\n".join(str(message.get("content", "")) for message in asked["messages"])


async def _strike_before(rule: FaultRule | None) -> None:
    """Do what a fault does before a call is accepted.

    Raises:
        DroppedConnectionError: The client is to see a dropped connection.
        ChatRefusedError: The client is to see an error.
    """
    if rule is None:
        return
    params = rule.params
    match rule.fault:
        case FaultName.LOST_REPLY_BEFORE:
            raise DroppedConnectionError
        case FaultName.ERROR_5XX_BEFORE:
            raise ChatRefusedError(params.status or 503, "No available model provider")
        case FaultName.RATE_LIMITED:
            headers = {"Retry-After": str(params.retry_after)} if params.header else None
            raise ChatRefusedError(429, "Rate limit exceeded", headers=headers)
        case FaultName.INSUFFICIENT_CREDIT:
            raise ChatRefusedError(402, "Insufficient credits")
        case FaultName.UNAUTHENTICATED:
            raise ChatRefusedError(401, "No auth credentials found")
        case FaultName.SLOW:
            await asyncio.sleep(params.seconds)
        case _:
            return


def _bounded(content: str, limit: int) -> tuple[str, str]:
    """Return what fits the longest answer, and why it ended."""
    if tokens_of(content) <= limit:
        return content, "stop"
    return content[: limit * 4], "length"


def _spoilt(rule: FaultRule | None, content: str, finish: str) -> tuple[str, str, str | None]:
    """Return content, finish reason and refusal as a fault leaves them."""
    fault = None if rule is None else rule.fault
    if fault is FaultName.CHAT_WRONG_SCHEMA:
        return json.dumps({"answer": "Here are some ideas.", "ideas": 3}), "stop", None
    if fault is FaultName.CHAT_REFUSAL:
        return "", "stop", _REFUSAL
    if fault is FaultName.CHAT_TRUNCATED:
        return content[: len(content) // 2], "length", None
    return content, finish, None


def _reply(
    rule: FaultRule | None,
    call: Accepted,
    content: str,
    finish: str,
    refusal: str | None,
    now_us: int,
) -> Response:
    choice: dict[str, JsonValue] = {
        "index": 0,
        "finish_reason": finish,
        "native_finish_reason": finish,
        "message": {"role": "assistant", "content": content, "refusal": refusal},
    }
    body: dict[str, JsonValue] = {
        "id": call.id,
        "object": "chat.completion",
        "created": now_us // 1_000_000,
        "model": call.model,
        "provider": "Sandbox",
        "choices": [choice],
        "usage": {
            "prompt_tokens": call.prompt_tokens,
            "completion_tokens": call.completion_tokens,
            "total_tokens": call.prompt_tokens + call.completion_tokens,
            "cost": float(call.cost),
        },
    }
    fault = None if rule is None else rule.fault
    if fault is FaultName.CHAT_ERROR:
        error: JsonValue = {"code": 502, "message": "Provider returned error"}
        choice.update(finish_reason="error", error=error)
        choice["message"] = {"role": "assistant", "content": ""}
    text = json.dumps(body)
    if fault is FaultName.CHAT_CUT:
        # Whole for HTTP, and cut as JSON: a gateway that gave up half-way.
        return Response(text[: int(len(text) * _CUT_AT)], media_type="application/json")
    if fault is FaultName.CHAT_DRIP and rule is not None:
        return StreamingResponse(_drip(text, rule.params.seconds), media_type="application/json")
    return Response(text, media_type="application/json")


async def _drip(text: str, seconds: float) -> AsyncGenerator[str]:
    """Yield a text in small pieces over a time."""
    pieces = max(1, round(seconds / _DRIP_SECONDS))
    size = -(-len(text) // pieces)
    for start in range(0, len(text), size):
        yield text[start : start + size]
        await asyncio.sleep(_DRIP_SECONDS)
