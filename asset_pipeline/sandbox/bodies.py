"""Reading a request's body: its size, its type and its JSON, judged before anything uses them.

What the API's own parser takes is taken; what could not be stored or sent back is refused here,
so that no route has to think of it.
"""

from __future__ import annotations

import json
import math
import re
from typing import NoReturn, cast

from pydantic import JsonValue
from starlette.requests import Request
from starlette.types import Message, Receive

from asset_pipeline.sandbox.problems import ProblemError, problem, too_large, unsupported_type

# A create may carry files as data URIs; the API's own advice is to upload what is over a megabyte.
JSON_LIMIT = 32 * 1024 * 1024
_DEEPEST = 64
_JSON_TYPE = re.compile(
    r"application/(?:json|[a-z0-9.-]+\+json)\s*(?:;\s*charset=\"?utf-?8\"?\s*)?;?", re.IGNORECASE
)
_SURROGATE = re.compile("[\ud800-\udfff]")


class UnreadableJsonError(ValueError):
    """A text is not JSON, or not such as can be kept; the message says why, for people."""


async def read_json(request: Request) -> tuple[bytes, JsonValue]:
    """Return a body as it was sent, and what it says.

    Raises:
        ProblemError: 415, it does not claim to be JSON in UTF-8; 413, it is over
            :data:`JSON_LIMIT`; 400, it is not JSON, or is nested too deeply.
    """
    if not _JSON_TYPE.fullmatch(request.headers.get("content-type", "").strip()):
        raise ProblemError(unsupported_type("application/json"))
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise ProblemError(unsupported_type("application/json without a Content-Encoding"))
    raw = await Request(request.scope, bounded(request.receive, JSON_LIMIT)).body()
    try:
        return raw, parsed(raw)
    except UnreadableJsonError as error:
        raise ProblemError(problem(400, "Bad request", str(error))) from None


def bounded(receive: Receive, most: int) -> Receive:
    """Return a source of a request's messages that ends with 413 over ``most`` bytes."""
    taken = 0

    async def receiving() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > most:
            raise ProblemError(too_large(most))
        return message

    return receiving


def parsed(raw: bytes | str) -> JsonValue:
    """Return what a JSON text says; half a surrogate pair is replaced, as the API does.

    Raises:
        UnreadableJsonError: It is not JSON in UTF-8, holds a number that is none or too large, or
            is nested more than 64 levels deep.
    """
    try:
        text = raw.decode() if isinstance(raw, bytes) else raw
        value: object = json.loads(
            text, parse_constant=_refuse, parse_float=_finite, parse_int=_whole
        )
    except UnreadableJsonError:
        raise
    except RecursionError:
        raise UnreadableJsonError(f"The JSON is nested over {_DEEPEST} levels deep.") from None
    except ValueError:
        # The parser's own words quote the text, and a number of 5,000 digits is a ValueError too.
        raise UnreadableJsonError("The body is not JSON in UTF-8.") from None
    return _kept(value, _DEEPEST)


def _kept(value: object, levels: int) -> JsonValue:
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if not isinstance(value, dict | list):
        return cast("JsonValue", value)
    if not levels:
        raise UnreadableJsonError(f"The JSON is nested over {_DEEPEST} levels deep.")
    if isinstance(value, list):
        return [_kept(each, levels - 1) for each in cast("list[object]", value)]
    return {
        _SURROGATE.sub("\ufffd", name): _kept(each, levels - 1)
        for name, each in cast("dict[str, object]", value).items()
    }


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        _refuse(digits)
    return number


def _whole(digits: str) -> int:
    _finite(digits)  # the API's parser has no larger whole numbers than fractions
    return int(digits)


def _refuse(word: str) -> NoReturn:
    raise UnreadableJsonError(f"{word[:20]} is not a number that JSON has.")
