"""Failure classes, from the bodies and error strings that Replicate really sends."""

from __future__ import annotations

import pytest

from asset_pipeline.errors import ExitCode
from asset_pipeline.generation.failures import (
    ErrorClass,
    GenerationFailure,
    from_prediction,
    from_refusal,
)
from asset_pipeline.providers.protocol import RefusedError, UnreachableError
from asset_pipeline_tests.generation.samples import prediction

E = ErrorClass

REFUSALS = {
    400: E.INVALID_INPUT,
    401: E.AUTHENTICATION,
    402: E.INSUFFICIENT_CREDIT,
    403: E.AUTHENTICATION,
    404: E.INVALID_INPUT,
    405: E.INVALID_INPUT,
    413: E.INVALID_INPUT,
    422: E.INVALID_INPUT,
    429: E.RATE_LIMIT,
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
    "list index out of range": E.UNKNOWN,
    # Words that only look like codes.
    "segfault at 0x7fe005b0": E.UNKNOWN,
    "no such file: /tmp/fe10001a.bin": E.UNKNOWN,
    "request 3e1001ff failed": E.UNKNOWN,
}


@pytest.mark.parametrize(("status", "found"), REFUSALS.items())
def test_a_refusal_is_classified_by_its_status(status: int, found: ErrorClass) -> None:
    """The structured signal decides, and the wait that was asked for is kept."""
    failure = from_refusal(RefusedError("HTTP x: words", status=status, retry_after=7))
    assert (failure.error_class, failure.retry_after) == (found, 7)
    assert failure.message == "HTTP x: words"
    assert failure.hint
    assert failure.exit_code is ExitCode.SOME_FAILED


def test_a_connection_never_made_is_the_network() -> None:
    """Nothing was sent: worth a retry."""
    failure = from_refusal(UnreachableError("ConnectError"))
    assert failure.error_class is E.NETWORK
    assert failure.retryable


@pytest.mark.parametrize(("error", "found"), FAILED.items())
def test_a_failed_prediction_is_classified_by_its_words(error: str, found: ErrorClass) -> None:
    """Codes and phrases of Replicate's documentation and issue threads."""
    failure = from_prediction(prediction(status="failed", error=error))
    assert failure.error_class is found
    assert failure.message == error
    assert failure.prediction_id == "p1"


def test_an_end_before_the_start_is_a_timeout_and_a_cancel_is_not_retried() -> None:
    """Aborted cost nothing and may be tried again; canceled was somebody's decision."""
    aborted, canceled = (from_prediction(prediction(status=s)) for s in ("aborted", "canceled"))
    assert (aborted.error_class, aborted.retryable) == (E.TIMEOUT, True)
    assert (canceled.error_class, canceled.retryable) == (E.CANCELLED, False)
    assert "aborted" in aborted.message


def test_only_what_costs_nothing_more_is_retried_by_itself() -> None:
    """Dagster repeats what may succeed for free, or takes up what is paid for."""
    retried = {each for each in E if GenerationFailure(each, "x").retryable}
    assert retried == {E.SERVER_ERROR, E.RATE_LIMIT, E.NETWORK, E.TIMEOUT, E.STORE}


def test_every_class_says_what_to_do() -> None:
    """No failure leaves a person without a next step."""
    assert all(GenerationFailure(each, "x").hint for each in E)
