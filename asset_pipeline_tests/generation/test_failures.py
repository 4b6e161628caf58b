"""Failure classes, from the bodies and error strings that Replicate really sends."""

from __future__ import annotations

import asyncio

import pytest
from pydantic import SecretStr

from asset_pipeline.errors import ExitCode
from asset_pipeline.generation.classifier import (
    class_of_loss,
    from_prediction,
    from_refusal,
    hint_for_ended,
)
from asset_pipeline.generation.failures import (
    MAX_MESSAGE_LENGTH,
    ErrorClass,
    GenerationFailure,
    HeldBackFailure,
    StoreFailure,
)
from asset_pipeline.providers.protocol import CreateRequest, RefusedError, UnreachableError
from asset_pipeline.providers.replicate import ReplicateProvider
from asset_pipeline_tests.support.generation_samples import SCHNELL, prediction
from asset_pipeline_tests.support.scripted_server import PROBLEM, reply, serving

E = ErrorClass

THE_CLASSES = (
    "server_error, rate_limit, content_policy, authentication, insufficient_credit, "
    "quota_exceeded, invalid_input, network, timeout, out_of_memory, bad_output, not_delivered, "
    "output_expired, forgotten, budget, cancelled, other_account, unknown"
)

BODIES = {
    "no token": (
        401,
        {
            "title": "Unauthenticated",
            "detail": "You did not pass a valid authentication token",
            "status": 401,
        },
        E.AUTHENTICATION,
        "HTTP 401: Unauthenticated. You did not pass a valid authentication token",
    ),
    "no credit": (
        402,
        {
            "title": "Insufficient credit",
            "detail": "You have insufficient credit to run this model.",
            "status": 402,
        },
        E.INSUFFICIENT_CREDIT,
        "HTTP 402: Insufficient credit. You have insufficient credit to run this model.",
    ),
    "a spent quota": (
        402,
        {"title": "Payment required", "detail": "The monthly quota is used up.", "status": 402},
        E.QUOTA_EXCEEDED,
        "HTTP 402: Payment required. The monthly quota is used up.",
    ),
    "forbidden": (403, {"detail": "Forbidden"}, E.AUTHENTICATION, "HTTP 403: Forbidden"),
    "no such model": (
        404,
        {"detail": "The requested resource could not be found.", "status": 404},
        E.INVALID_INPUT,
        "HTTP 404: The requested resource could not be found.",
    ),
    "too large": (413, None, E.INVALID_INPUT, "HTTP 413"),
    "a bad input": (
        422,
        {
            "title": "Input validation failed",
            "status": 422,
            "detail": "- input: prompt is required\n",
            "invalid_fields": [
                {"type": "required", "field": "input", "description": "prompt is required"}
            ],
        },
        E.INVALID_INPUT,
        "HTTP 422: Input validation failed. - input: prompt is required",
    ),
    "too many requests": (
        429,
        {
            "detail": "Request was throttled. Your rate limit for creating predictions is reduced "
            "to 6 requests per minute with a burst of 1 requests while you have less than $5.0 in "
            "credit. Your rate limit resets in ~5s.",
            "status": 429,
            "retry_after": 5,
        },
        E.RATE_LIMIT,
        "HTTP 429: Request was throttled.",
    ),
    "another no": (405, {"detail": "Method not allowed"}, E.INVALID_INPUT, "HTTP 405"),
}

FAILED = {
    "Prediction interrupted; please retry (code: PA)": E.SERVER_ERROR,
    "Director: unexpected error handling prediction (E9828)": E.SERVER_ERROR,
    "Prediction failed to start in time (E6716)": E.SERVER_ERROR,
    "Unknown error (E1000)": E.SERVER_ERROR,
    "E8765": E.SERVER_ERROR,
    "Model failed to start (E9243)": E.SERVER_ERROR,
    "Upload of output failed (E9825)": E.SERVER_ERROR,
    "Ran out of memory (E1001)": E.OUT_OF_MEMORY,
    "CUDA out of memory. Tried to allocate 2.00 GiB": E.OUT_OF_MEMORY,
    "The input or output was flagged as sensitive. Try other inputs. (E005)": E.CONTENT_POLICY,
    "NSFW content detected. Try running it again, or try a different prompt.": E.CONTENT_POLICY,
    "All generated images contained NSFW content. Try running it again with a different prompt.": (
        E.CONTENT_POLICY
    ),
    "Prediction was stopped (E8367)": E.CANCELLED,
    "Bad webhook URL (E4875)": E.INVALID_INPUT,
    "You have exceeded your quota": E.QUOTA_EXCEEDED,
    "The upstream model was throttled": E.RATE_LIMIT,
    "upstream request timed out": E.TIMEOUT,
    "list index out of range": E.UNKNOWN,
    # A code tells more than the words around it.
    "Ran out of memory while looking for NSFW content (E1001)": E.OUT_OF_MEMORY,
    # Words that only look like codes.
    "segfault at 0x7fe005b0": E.UNKNOWN,
    "no such file: /tmp/fe10001a.bin": E.UNKNOWN,
    "request 3e1001ff failed": E.UNKNOWN,
}


def test_the_classes_are_those_that_are_promised() -> None:
    """Tables, rules and documents name these and no others."""
    assert ", ".join(E) == THE_CLASSES


@pytest.mark.parametrize("case", BODIES)
def test_a_refusal_is_classified_from_its_real_body(case: str) -> None:
    """The status and the problem's fields decide, all the way from the wire."""
    status, body, found, words = BODIES[case]
    failure = _refused(status, body)
    assert failure.error_class is found
    assert failure.message.startswith(words)
    assert failure.hint
    assert failure.cause == ("quota" if found is E.QUOTA_EXCEEDED else f"HTTP {status}")
    assert failure.exit_code is ExitCode.SOME_FAILED


def test_what_a_refusal_says_beyond_its_status_is_kept() -> None:
    """The wait of a 429, and which input a 422 objects to: that is what there is to correct."""
    status, body, *_ = BODIES["too many requests"]
    assert _refused(status, body).retry_after == 5
    status, body, *_ = BODIES["a bad input"]
    assert _refused(status, body).hint == "Correct the prompt: input: prompt is required."


def test_a_connection_never_made_is_the_network() -> None:
    """Nothing was sent."""
    failure = from_refusal(UnreachableError("ConnectError"))
    assert (failure.error_class, failure.cause) == (E.NETWORK, "no connection")


@pytest.mark.parametrize(("error", "found"), FAILED.items())
def test_a_failed_prediction_is_classified_by_its_code_then_its_words(
    error: str, found: ErrorClass
) -> None:
    """Codes and phrases of Replicate's documentation and issue threads."""
    failure = from_prediction(prediction(status="failed", error=error))
    assert failure.error_class is found
    assert failure.message == error
    assert failure.prediction_id == "p1"
    assert failure.cause


def test_a_status_decides_before_words() -> None:
    """Aborted never started, canceled was somebody's decision, whatever the error says."""
    aborted = from_prediction(prediction(status="aborted", error="NSFW content (E005)"))
    canceled = from_prediction(prediction(status="canceled"))
    assert (aborted.error_class, aborted.cause) == (E.TIMEOUT, "status aborted")
    assert (canceled.error_class, canceled.cause) == (E.CANCELLED, "status canceled")
    assert "canceled" in canceled.message


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("HTTP 503: Service Unavailable", E.SERVER_ERROR),
        ("HTTP 500", E.SERVER_ERROR),
        ("ReadTimeout", E.TIMEOUT),
        ("TimeoutError", E.TIMEOUT),
        ("RemoteProtocolError: Server disconnected without sending a response.", E.NETWORK),
        ("", E.NETWORK),
    ],
)
def test_a_lost_reply_keeps_what_lost_it(words: str, found: ErrorClass) -> None:
    """A provider that answers 503 is not a network that drops connections."""
    assert class_of_loss(words) is found


def test_a_message_is_cut_at_500_characters() -> None:
    """A page of HTML in an error does not end up in every table, and what is cut shows."""
    failure = GenerationFailure(E.UNKNOWN, "x" * 600)
    assert len(failure.message) == MAX_MESSAGE_LENGTH == 500
    assert failure.message.endswith("\u2026")
    assert GenerationFailure(E.UNKNOWN, "x" * 500).message == "x" * 500


def test_every_class_says_what_to_do() -> None:
    """No failure leaves a person without a next step."""
    assert all(GenerationFailure(each, "x").hint for each in E)
    assert "Mend the store" in StoreFailure("disk full").hint
    assert HeldBackFailure("a/b", retry_after=30).hint


@pytest.mark.parametrize("error_class", list(E))
def test_what_has_ended_is_not_said_to_be_open(error_class: ErrorClass) -> None:
    """Nobody is told that money stays reserved, or to take up what is over."""
    hint = GenerationFailure(error_class, "x", hint=hint_for_ended(error_class)).hint
    if error_class not in {E.FORGOTTEN, E.NOT_DELIVERED}:  # open as long as they are told
        assert "reserved" not in hint
        assert "taken up" not in hint


def _refused(status: int, body: object) -> GenerationFailure:
    """Meet one answer to a create, through the real provider."""

    async def create() -> None:
        async with serving(reply(status, body, content_type=PROBLEM)) as server:
            provider = ReplicateProvider(SecretStr("r8_token"), server.url)
            try:
                await provider.create(CreateRequest(SCHNELL, None, {"prompt": "x"}, 300))
            finally:
                await provider.aclose()

    with pytest.raises(RefusedError) as refusal:
        asyncio.run(create())
    return from_refusal(refusal.value)
