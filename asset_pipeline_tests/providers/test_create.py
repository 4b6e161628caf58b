"""A create: exactly one POST whatever happens, and the right word for what came of it."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest
from pydantic import SecretStr

from asset_pipeline.errors import ConfigurationError
from asset_pipeline.providers.prediction import Prediction, PredictionStatus
from asset_pipeline.providers.protocol import (
    CreateRequest,
    ProviderError,
    RefusedError,
    UnclearError,
    UnreachableError,
)
from asset_pipeline.providers.replicate import ReplicateProvider
from asset_pipeline_tests.support.provider_samples import (
    IMPATIENT,
    SCHNELL,
    SOON,
    TOKEN,
    prediction,
    provider,
)
from asset_pipeline_tests.support.scripted_server import (
    PROBLEM,
    Answer,
    Scripted,
    close,
    drip,
    drop,
    hang,
    reply,
    serving,
)

THROTTLED = {
    "detail": "Request was throttled. Your rate limit for creating predictions is reduced to 6 "
    "requests per minute with a burst of 1 requests while you have less than $5.0 in credit. "
    "Your rate limit resets in ~5s.",
    "status": 429,
    "retry_after": 5,
}
UNAUTHENTICATED = {
    "title": "Unauthenticated",
    "detail": "You did not pass a valid authentication token",
    "status": 401,
}
NO_CREDIT = {
    "title": "Insufficient credit",
    "detail": "You have insufficient credit to run this model.",
    "status": 402,
}
INVALID = {
    "title": "Input validation failed",
    "status": 422,
    "detail": "- input: prompt is required\n",
    "invalid_fields": [{"type": "required", "field": "input", "description": "prompt is required"}],
}


def create(
    *script: Answer, request: CreateRequest = SCHNELL, request_seconds: float = 10.0
) -> tuple[Prediction | ProviderError, Scripted]:
    """Send one create to a scripted server; return what came of it and what was on the wire."""

    async def run() -> tuple[Prediction | ProviderError, Scripted]:
        async with serving(*script) as server:
            replicate = provider(server.url, request_seconds=request_seconds)
            try:
                return await replicate.create(request), server
            except ProviderError as error:
                return error, server
            finally:
                await replicate.aclose()

    return asyncio.run(run())


def test_an_official_model_is_created_by_name() -> None:
    """One POST to the model's own route, with token, Cancel-After and the inputs as they are."""
    made, server = create(reply(201, prediction()))
    assert isinstance(made, Prediction)
    assert made.prediction_id == "p1"
    (request,) = server.received
    assert request.method == "POST"
    assert request.path == "/v1/models/black-forest-labs/flux-schnell/predictions"
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["cancel-after"] == "300s"
    assert request.document == {"input": dict(SCHNELL.inputs)}


def test_a_community_model_is_created_by_version() -> None:
    """A version goes to the plain route: a community model's own route answers 404."""
    community = CreateRequest("jaaari/kokoro-82m", "f" * 64, {"text": "hello"}, 60)
    made, server = create(reply(202, prediction(version="f" * 64)), request=community)
    assert isinstance(made, Prediction)
    (request,) = server.received
    assert request.path == "/v1/predictions"
    assert request.document == {"version": "f" * 64, "input": {"text": "hello"}}
    assert request.headers["cancel-after"] == "60s"


UNCLEAR = {
    "reset after reading": drop(),
    "closed after reading": close(),
    "never answered": hang(),
    "dripping": drip(0.02),
    "500": reply(500, {"title": "Internal server error", "status": 500}, content_type=PROBLEM),
    "502 page": reply(502, b"<html>Bad Gateway</html>", content_type="text/html"),
    "503 with Retry-After": reply(503, {}, headers={"retry-after": "1"}),
    "504": reply(504, b""),
    "408": reply(408, {}),
    "409": reply(409, {}),
    "425": reply(425, {}),
    "499": reply(499, {}),
    "500 with a list": reply(500, [{"loc": ["body"], "msg": "x"}]),
    "201 broken JSON": reply(201, b'{"id": "p1", "status": "star'),
    "201 no JSON": reply(201, b"<html>hello</html>"),
    "201 not UTF-8": reply(201, b'{"id": "\xff\xfe"}'),
    "201 without an id": reply(201, {"status": "starting"}),
    "201 a list": reply(201, [prediction()]),
    "201 null": reply(201, None),
    "201 too deep": reply(201, b"[" * 100_000),
    "201 half a body": reply(201, b'{"id": "p1"', length=400),
    "201 bad gzip": reply(201, b"no gzip", headers={"content-encoding": "gzip"}),
    "redirect": reply(307, b"", headers={"location": "/v1/elsewhere"}),
}


@pytest.mark.parametrize("answer", UNCLEAR.values(), ids=UNCLEAR.keys())
def test_no_clear_answer_is_unclear_and_sent_once(answer: Answer) -> None:
    """Without a clear answer the create may have been accepted: one POST, and UnclearError.

    The message ends up in the ledger and on the screen, so it must not hold the token.
    """
    started = time.monotonic()
    error, server = create(answer, request_seconds=IMPATIENT)
    assert isinstance(error, UnclearError)
    assert server.posts() == 1
    assert TOKEN not in f"{error.message}{error.__cause__!r}"
    # The client itself would wait for ever: it sends creates without any timeout.
    assert time.monotonic() - started < SOON


REFUSED = {
    "401": (UNAUTHENTICATED, 401, "Unauthenticated"),
    "402": (NO_CREDIT, 402, "insufficient credit"),
    "404": ({"detail": "The requested resource could not be found."}, 404, "could not be found"),
    "422": (INVALID, 422, "prompt is required"),
    "429": (THROTTLED, 429, "throttled"),
    "list-shaped": ([{"loc": ["body"], "msg": "x"}], 422, "HTTP 422"),
    "empty body": (b"", 400, "HTTP 400"),
    "a page": (b"<html>Forbidden</html>", 403, "HTTP 403"),
    "413": (b"", 413, "HTTP 413"),
}


@pytest.mark.parametrize(("body", "status", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_a_clear_no_is_refused_in_the_providers_words(
    body: object, status: int, words: str
) -> None:
    """A clear no is RefusedError with the provider's own words, and is not sent again."""
    error, server = create(reply(status, body, content_type=PROBLEM))
    assert type(error) is RefusedError
    assert error.status == status
    assert words in error.message
    assert server.posts() == 1


@pytest.mark.parametrize(
    ("body", "headers", "seconds"),
    [
        (THROTTLED, {}, 5.0),
        (THROTTLED, {"retry-after": "60"}, 5.0),
        ({}, {"retry-after": "7"}, 7.0),
        ({"retry_after": "soon"}, {"retry-after": "8"}, 8.0),
        ({"retry_after": -1}, {}, None),
        ({"retry_after": float("nan")}, {}, None),
        ({}, {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ([], {"retry-after": "9"}, 9.0),
        ({}, {}, None),
    ],
)
def test_retry_after_is_read_from_body_and_header(
    body: object, headers: dict[str, str], seconds: float | None
) -> None:
    """The wait the provider asks for is kept, from the body first, and nonsense is not."""
    error, _ = create(reply(429, body, headers=headers))
    assert isinstance(error, RefusedError)
    assert error.retry_after == seconds


def test_a_refused_connection_was_never_sent() -> None:
    """Nobody listens: certainly nothing was made, so the money may go back."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"

    async def run() -> None:
        replicate = provider(url)
        with pytest.raises(UnreachableError):
            await replicate.create(SCHNELL)
        await replicate.aclose()

    asyncio.run(run())


def test_an_impossible_address_was_never_sent() -> None:
    """An address without http is a mistake in a setting, not a lost reply."""

    async def run() -> None:
        replicate = provider("ftp://127.0.0.1")
        with pytest.raises(UnreachableError):
            await replicate.create(SCHNELL)
        await replicate.aclose()

    asyncio.run(run())


def test_what_breaks_before_the_wire_was_never_sent() -> None:
    """Inputs that can't be written as JSON are no lost reply: nothing was sent."""
    error, server = create(
        reply(201, prediction()),
        request=CreateRequest("a/b", None, {"prompt": "x", "speed": float("nan")}, 60),
    )
    assert isinstance(error, UnreachableError)
    assert server.posts() == 0


def test_a_dead_kept_connection_does_not_repeat_a_create() -> None:
    """The server hangs up between two creates: two creates are two POSTs, never three."""

    async def run() -> None:
        async def last(writer: asyncio.StreamWriter) -> None:
            await reply(201, prediction())(writer)
            writer.close()

        async with serving(last, reply(201, prediction(id="p2"))) as server:
            replicate = provider(server.url)
            await replicate.create(SCHNELL)
            await asyncio.sleep(0.02)  # let the end of the connection arrive
            assert (await replicate.create(SCHNELL)).prediction_id == "p2"
            assert server.posts() == 2
            await replicate.aclose()

    asyncio.run(run())


@pytest.mark.parametrize("status", list(PredictionStatus))
def test_every_status_is_read(status: PredictionStatus) -> None:
    """The client refuses `aborted`; here every status comes through, unknown ones as unfinished."""
    made, _ = create(reply(201, prediction(status=status.value, version=None)))
    assert isinstance(made, Prediction)
    assert made.status is status
    assert made.version is None


@pytest.mark.parametrize("token", ["", "  \n", "r8_abc\x00", "r8_ä", "r8_a b", "r8_a\nHost: x"])
def test_a_token_that_cannot_be_one_is_a_sentence(token: str) -> None:
    """A bad token is refused before anything is sent, and is not quoted in the error."""
    with pytest.raises(ConfigurationError) as caught:
        ReplicateProvider(SecretStr(token), "http://127.0.0.1:1")
    if token.strip():
        assert token not in str(caught.value)


def test_a_tokens_line_end_is_left_out() -> None:
    """A secret that was read from a file ends in a newline, which no header may hold."""

    async def run() -> None:
        async with serving(reply(201, prediction())) as server:
            replicate = ReplicateProvider(SecretStr(f"{TOKEN}\n"), server.url)
            await replicate.create(SCHNELL)
            await replicate.aclose()
            assert server.received[0].headers["authorization"] == f"Bearer {TOKEN}"

    asyncio.run(run())


def test_one_provider_a_loop_and_it_closes() -> None:
    """A new event loop gets a new provider, and a closed one holds no connection."""

    async def run() -> None:
        async with serving(reply(201, prediction())) as server:
            replicate = provider(server.url)
            await asyncio.gather(*(replicate.create(SCHNELL) for _ in range(5)))
            await replicate.aclose()
            with pytest.raises(RuntimeError):
                await replicate.get("p1")
            await server.all_closed()

    asyncio.run(run())
    asyncio.run(run())
