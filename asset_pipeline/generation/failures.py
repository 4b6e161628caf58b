"""Why a clip did not land: classes decided from structured signals first, then from words."""

from __future__ import annotations

import re
from enum import StrEnum

from asset_pipeline.errors import AssetPipelineError, ExitCode
from asset_pipeline.providers.prediction import Prediction, PredictionStatus
from asset_pipeline.providers.protocol import RefusedError, UnreachableError


class ErrorClass(StrEnum):
    """What kind of failure it was, which decides what may be done about it."""

    SERVER_ERROR = "server_error"
    RATE_LIMIT = "rate_limit"
    CONTENT_POLICY = "content_policy"
    AUTHENTICATION = "authentication"
    INSUFFICIENT_CREDIT = "insufficient_credit"
    QUOTA_EXCEEDED = "quota_exceeded"
    INVALID_INPUT = "invalid_input"
    NETWORK = "network"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out_of_memory"
    BAD_OUTPUT = "bad_output"
    OUTPUT_EXPIRED = "output_expired"
    STORE = "store"
    BUDGET = "budget"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


# Another attempt may well succeed and nothing was paid for this one, or what was paid for is
# taken up again. A bad output is not among them: its next attempt is a second payment.
_WORTH_A_RETRY = frozenset(
    {
        ErrorClass.SERVER_ERROR,
        ErrorClass.RATE_LIMIT,
        ErrorClass.NETWORK,
        ErrorClass.TIMEOUT,
        ErrorClass.STORE,
    }
)

_HINTS = {
    ErrorClass.SERVER_ERROR: "The provider had a fault; retry.",
    ErrorClass.RATE_LIMIT: "Lower ASSET_PIPELINE_RATE_LIMIT_PER_MINUTE, or retry later.",
    ErrorClass.CONTENT_POLICY: "Change the prompt's text: unchanged, it is refused again.",
    ErrorClass.AUTHENTICATION: "Check REPLICATE_API_TOKEN.",
    ErrorClass.INSUFFICIENT_CREDIT: "Add credit to the Replicate account, then retry.",
    ErrorClass.QUOTA_EXCEEDED: "The account's quota is used up; retry when it is renewed.",
    ErrorClass.INVALID_INPUT: "Correct the prompt's model or inputs.",
    ErrorClass.NETWORK: "Check the connection and REPLICATE_BASE_URL; nothing was lost.",
    ErrorClass.TIMEOUT: "Retry: a prediction that still runs is taken up, not paid again.",
    ErrorClass.OUT_OF_MEMORY: "Ask for a smaller output.",
    ErrorClass.BAD_OUTPUT: "Generate again with --failed if it is worth another payment.",
    ErrorClass.OUTPUT_EXPIRED: "The provider keeps outputs for an hour; generate again.",
    ErrorClass.STORE: "Mend the store and retry: the clip is paid for and will be fetched again.",
    ErrorClass.BUDGET: "Raise the cap in budgets.yaml or the environment, or wait.",
    ErrorClass.CANCELLED: "Run it again: open work is taken up, not paid again.",
    ErrorClass.UNKNOWN: "Run `asset-pipeline reconcile`; its money stays reserved until then.",
}


class GenerationFailure(AssetPipelineError):  # noqa: N818 -- the design's word for it
    """One clip that did not land.

    Args:
        error_class: The kind of failure.
        message: What happened, in the provider's words where it said something.
        retry_after: Seconds the provider asks to wait.
        prediction_id: The prediction concerned, if there is one.
        hint: What to do, where the class's own advice does not fit.
    """

    exit_code = ExitCode.SOME_FAILED

    def __init__(
        self,
        error_class: ErrorClass,
        message: str,
        *,
        retry_after: float | None = None,
        prediction_id: str | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint or _HINTS[error_class])
        self.error_class = error_class
        self.retry_after = retry_after
        self.prediction_id = prediction_id

    @property
    def retryable(self) -> bool:
        """Whether Dagster should try again by itself."""
        return self.error_class in _WORTH_A_RETRY


class HeldBackFailure(GenerationFailure):
    """A model's breaker is open: nothing was reserved or sent, so this was no attempt.

    Another model may be asked at once; this one after ``retry_after`` seconds.
    """

    def __init__(self, model: str, *, retry_after: float, reason: str = "") -> None:
        why = f": {reason}" if reason else ""
        super().__init__(
            ErrorClass.SERVER_ERROR,
            f"{model} is held back by its breaker for {retry_after:.0f} s{why}",
            retry_after=retry_after,
            hint="It is tried again by itself; `asset-pipeline status` shows the breakers.",
        )
        self.model = model


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

# Error codes and phrases of failed predictions, most telling first. They are looked for as whole
# words in lower case: an address such as 0x7fe005b0 is no error code.
_BY_WORDS = (
    ("e005", ErrorClass.CONTENT_POLICY),
    ("nsfw", ErrorClass.CONTENT_POLICY),
    ("flagged as sensitive", ErrorClass.CONTENT_POLICY),
    ("e1001", ErrorClass.OUT_OF_MEMORY),
    ("out of memory", ErrorClass.OUT_OF_MEMORY),
    ("e8367", ErrorClass.CANCELLED),
    ("code: pa", ErrorClass.SERVER_ERROR),
    ("e9828", ErrorClass.SERVER_ERROR),
    ("e6716", ErrorClass.SERVER_ERROR),
    ("e1000", ErrorClass.SERVER_ERROR),
    ("e8765", ErrorClass.SERVER_ERROR),
    ("e9243", ErrorClass.SERVER_ERROR),
    ("e9825", ErrorClass.SERVER_ERROR),
    ("e4875", ErrorClass.INVALID_INPUT),
    ("quota", ErrorClass.QUOTA_EXCEEDED),
)


def from_refusal(error: RefusedError) -> GenerationFailure:
    """Classify a clear refusal of a create."""
    if isinstance(error, UnreachableError) or error.status is None:
        return GenerationFailure(ErrorClass.NETWORK, error.message)
    found = _BY_STATUS.get(error.status, ErrorClass.INVALID_INPUT)
    return GenerationFailure(found, error.message, retry_after=error.retry_after)


def from_prediction(prediction: Prediction) -> GenerationFailure:
    """Classify a prediction that ended without success."""
    message = prediction.error or f"the prediction ended as {prediction.raw_status}"
    if prediction.status is PredictionStatus.ABORTED:
        found = ErrorClass.TIMEOUT
    elif prediction.status is PredictionStatus.CANCELED:
        found = ErrorClass.CANCELLED
    else:
        words = message.lower()
        matches = (known for phrase, known in _BY_WORDS if re.search(rf"\b{phrase}\b", words))
        found = next(matches, ErrorClass.UNKNOWN)
    # It has ended, so the advice for what is still open (reconcile, take up) does not fit.
    ended = found in {ErrorClass.UNKNOWN, ErrorClass.CANCELLED}
    return GenerationFailure(
        found,
        message,
        prediction_id=prediction.prediction_id,
        hint="Generate it again with --failed if it is still wanted." if ended else "",
    )
