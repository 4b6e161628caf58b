"""Failures of clips: class, cause and advice."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from asset_pipeline.errors import AssetPipelineError, ExitCode
from asset_pipeline.ledger.schema import IntentState

MAX_MESSAGE_LENGTH = 500


class ErrorClass(StrEnum):
    """The class of a failure; the retry rules go by it."""

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
    NOT_DELIVERED = "not_delivered"
    OUTPUT_EXPIRED = "output_expired"
    FORGOTTEN = "forgotten"
    BUDGET = "budget"
    CANCELLED = "cancelled"
    OTHER_ACCOUNT = "other_account"
    UNKNOWN = "unknown"


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
    ErrorClass.NOT_DELIVERED: "Run it again, or `asset-pipeline reconcile`: nothing is paid again.",
    ErrorClass.FORGOTTEN: (
        "Is REPLICATE_API_TOKEN of the account that paid for it, and REPLICATE_BASE_URL the server "
        "that took it? It is asked for again by the next run or `asset-pipeline reconcile`."
    ),
    ErrorClass.OUTPUT_EXPIRED: "The provider keeps outputs for an hour; generate again.",
    ErrorClass.BUDGET: "Raise the cap in budgets.yaml or the environment, or wait.",
    ErrorClass.CANCELLED: "Run it again: open work is taken up, not paid again.",
    ErrorClass.OTHER_ACCOUNT: "Use that account's token; to pay again with this one, use --force.",
    ErrorClass.UNKNOWN: "Nothing is held for it; --failed generates it again, for another payment.",
}

# Advice that holds only while an intent is open: an ended one holds no money.
_HINTS_WHILE_OPEN = {
    ErrorClass.UNKNOWN: "Run `asset-pipeline reconcile`; its money stays reserved until then.",
}


class GenerationFailure(AssetPipelineError):  # noqa: N818 -- the design's word for it
    """One clip that did not land.

    Args:
        error_class: The kind of failure.
        message: What happened, in the provider's words where it said something; it is cut at
            :data:`MAX_MESSAGE_LENGTH` characters.
        cause: The signal that decided the class, such as ``HTTP 402`` or ``E1001``.
        retry_after: Seconds the provider asks to wait.
        prediction_id: The prediction concerned, if there is one.
        hint: What to do, where the class's own advice does not fit.

    Attributes:
        again_after: Seconds after which the retry rules want another attempt; None for none.
    """

    exit_code = ExitCode.SOME_FAILED
    leaves_open = False
    """Whether what is paid for is still to be had: its intent stays open and is gone on with."""

    def __init__(
        self,
        error_class: ErrorClass,
        message: str,
        *,
        cause: str = "",
        retry_after: float | None = None,
        prediction_id: str | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(_cut(message), hint=hint or _HINTS[error_class])
        self.error_class = error_class
        self.cause = cause
        self.retry_after = retry_after
        self.prediction_id = prediction_id
        self.again_after: float | None = None
        self._left: IntentState | None = None
        self._own_hint = hint

    @property
    def left(self) -> IntentState | None:
        """The state of the intent that stays open; None when another way to the clip is free.

        Whoever ends an attempt looks it up, and the advice becomes that for an open intent.
        """
        return self._left

    @left.setter
    def left(self, state: IntentState | None) -> None:
        self._left = state
        hints = _HINTS if state is None else _HINTS | _HINTS_WHILE_OPEN
        self.hint = self._own_hint or hints[self.error_class]


class HeldBackFailure(GenerationFailure):
    """A model's breaker is open: nothing was reserved or sent, so this was no attempt.

    Another model may be asked at once; this one after ``retry_after`` seconds.
    """

    def __init__(self, model: str, *, retry_after: float, reason: str = "") -> None:
        why = f": {reason}" if reason else ""
        super().__init__(
            ErrorClass.SERVER_ERROR,
            f"{model} is held back by its breaker for {retry_after:.0f} s{why}",
            cause="breaker open",
            retry_after=retry_after,
            hint="It is tried again by itself; `asset-pipeline status` shows the breakers.",
        )
        self.model = model


class LateFileFailure(GenerationFailure):
    """The file of a paid clip is not available yet; it may still come.

    Args:
        obstacle: What came instead of the file.
        until: When the provider's time of retention is over; None when it is over, and the
            provider could not be asked.
    """

    leaves_open = True

    def __init__(self, obstacle: str, until: datetime | None, *, prediction_id: str | None) -> None:
        ever = "once more" if until is None else f"until {until:%H:%M} UTC"
        super().__init__(
            ErrorClass.NOT_DELIVERED,
            f"paid for; its file can't be had yet; fetched again {ever} by the next run or "
            f"`asset-pipeline reconcile` ({obstacle})",
            cause="download",
            prediction_id=prediction_id,
        )


class StoreFailure(GenerationFailure):
    """Our store failed. The paid clip's file is kept, so its intent stays open."""

    leaves_open = True

    def __init__(self, message: str, *, prediction_id: str | None = None) -> None:
        super().__init__(
            ErrorClass.SERVER_ERROR,
            message,
            cause="store",
            prediction_id=prediction_id,
            hint="Mend the store and retry: the clip is paid for and is stored then.",
        )


def _cut(message: str) -> str:
    if len(message) <= MAX_MESSAGE_LENGTH:
        return message
    return message[: MAX_MESSAGE_LENGTH - 1] + "\u2026"
