"""Classifying the provider's errors: by structured signals first, then by words."""

from __future__ import annotations

import re
from dataclasses import dataclass

from asset_pipeline.generation.failure_phrases import class_of_words
from asset_pipeline.generation.failures import ErrorClass, GenerationFailure
from asset_pipeline.providers.prediction import Prediction, PredictionStatus
from asset_pipeline.providers.protocol import RefusedError, UnreachableError

_BY_STATUS = {
    400: ErrorClass.INVALID_INPUT,
    401: ErrorClass.AUTHENTICATION,
    402: ErrorClass.INSUFFICIENT_CREDIT,
    403: ErrorClass.AUTHENTICATION,
    404: ErrorClass.INVALID_INPUT,
    413: ErrorClass.INVALID_INPUT,
    422: ErrorClass.INVALID_INPUT,
    429: ErrorClass.RATE_LIMIT,
}

# Where the words tell more than the status: a spent quota has that of an account without credit or
# of too many requests, and a prompt that is refused for its content that of a bad input.
_WORDS_OVER_STATUS = frozenset(
    {
        *((status, ErrorClass.QUOTA_EXCEEDED) for status in (402, 429)),
        *((status, ErrorClass.CONTENT_POLICY) for status in (400, 403, 422)),
    }
)

# The codes that Replicate ends an error with. They are looked for as whole words: an address such
# as 0x7fe005b0 is none.
_BY_CODE = {
    "E003": ErrorClass.SERVER_ERROR,  # high demand
    "E004": ErrorClass.SERVER_ERROR,  # unavailable for now
    "E005": ErrorClass.CONTENT_POLICY,
    "E1000": ErrorClass.SERVER_ERROR,
    "E1001": ErrorClass.OUT_OF_MEMORY,
    "E4875": ErrorClass.INVALID_INPUT,  # the webhook's URL
    "E6716": ErrorClass.SERVER_ERROR,  # did not start in time
    "E8367": ErrorClass.CANCELLED,  # stopped
    "E8765": ErrorClass.SERVER_ERROR,
    "E9243": ErrorClass.SERVER_ERROR,  # failed to start
    "E9825": ErrorClass.SERVER_ERROR,  # the output's upload
    "E9828": ErrorClass.SERVER_ERROR,
}
_CODE = re.compile(r"(?<!\w)E\d{3,4}(?!\w)", re.IGNORECASE)

# A lost reply is recorded as its words alone; these tell what kind of loss it was.
_STATUS_IN_WORDS = re.compile(r"HTTP (5\d\d)\b")
_TIMEOUT_IN_WORDS = re.compile(r"\b\w*Timeout\w*")


@dataclass(frozen=True, slots=True)
class _Found:
    error_class: ErrorClass
    cause: str


def from_refusal(error: RefusedError) -> GenerationFailure:
    """Classify a clear refusal of a create."""
    if isinstance(error, UnreachableError) or error.status is None:
        return GenerationFailure(ErrorClass.NETWORK, error.message, cause="no connection")
    known = _BY_STATUS.get(error.status, ErrorClass.INVALID_INPUT)
    found = _Found(known, f"HTTP {error.status}")
    if not error.invalid_fields:
        words = _by_words(error.message)
        if words is not None and (error.status, words.error_class) in _WORDS_OVER_STATUS:
            found = words
    return GenerationFailure(
        found.error_class,
        error.message,
        cause=found.cause,
        retry_after=error.retry_after,
        hint=_inputs_to_correct(error),
    )


def from_prediction(prediction: Prediction) -> GenerationFailure:
    """Classify a prediction that ended without success."""
    message = prediction.error or f"the prediction ended as {prediction.raw_status}"
    found = _by_status(prediction.status) or _by_code(message) or _by_words(message)
    known = found or _Found(ErrorClass.UNKNOWN, f"status {prediction.raw_status}")
    return GenerationFailure(
        known.error_class,
        message,
        cause=known.cause,
        prediction_id=prediction.prediction_id,
        hint=hint_for_ended(known.error_class),
    )


def hint_for_ended(error_class: ErrorClass) -> str:
    """Return advice for an attempt that has ended, where its class's advice is wrong.

    That of some is for what is still open: to reconcile it, to take it up. Empty for all others.
    """
    misleading = {ErrorClass.UNKNOWN, ErrorClass.CANCELLED, ErrorClass.TIMEOUT}
    if error_class not in misleading:
        return ""
    return "Generate it again with --failed if it is still wanted."


def class_of_loss(words: str) -> ErrorClass:
    """Return the class of a create that lost its reply and was never accepted.

    Args:
        words: What was recorded of the loss.
    """
    if _STATUS_IN_WORDS.search(words):
        return ErrorClass.SERVER_ERROR
    return ErrorClass.TIMEOUT if _TIMEOUT_IN_WORDS.search(words) else ErrorClass.NETWORK


def _by_status(status: PredictionStatus) -> _Found | None:
    match status:
        case PredictionStatus.ABORTED:
            return _Found(ErrorClass.TIMEOUT, "status aborted")
        case PredictionStatus.CANCELED:
            return _Found(ErrorClass.CANCELLED, "status canceled")
        case _:
            return None


def _by_code(message: str) -> _Found | None:
    for code in map(str.upper, _CODE.findall(message)):
        if code in _BY_CODE:
            return _Found(_BY_CODE[code], code)
    return None


def _by_words(message: str) -> _Found | None:
    found = class_of_words(message)
    return None if found is None else _Found(*found)


def _inputs_to_correct(error: RefusedError) -> str:
    """Return which inputs to correct, where the refusal named them."""
    if not error.invalid_fields:
        return ""
    named = "; ".join(f"{field}: {why}" for field, why in error.invalid_fields)
    return f"Correct the prompt: {named}."
