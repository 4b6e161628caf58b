"""The provider's object, read tolerantly: a row that is odd must not hide the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import cast

from pydantic import JsonValue

from asset_pipeline.disclosure.here import redacted


class PredictionStatus(StrEnum):
    """A prediction's status; one that we don't know is treated as not finished."""

    STARTING = "starting"
    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    ABORTED = "aborted"
    UNRECOGNISED = "unrecognised"

    @property
    def is_terminal(self) -> bool:
        """Whether nothing more will happen to the prediction."""
        return self in _TERMINAL


# No honest metric comes near: a day has 86,400 seconds.
_MOST = 1e12

_TERMINAL = frozenset(
    {
        PredictionStatus.SUCCEEDED,
        PredictionStatus.FAILED,
        PredictionStatus.CANCELED,
        PredictionStatus.ABORTED,
    }
)


@dataclass(frozen=True, slots=True)
class Prediction:
    """One prediction as the provider tells it.

    Attributes:
        raw_status: The status word as it came, for messages about unrecognised ones.
        metrics: Numbers by name, such as ``predict_time`` (seconds) and ``image_output_count``.
        data_removed: Input and output are gone: the provider's hour of retention is over.
        web_url: A page for people; empty when the reply holds none.
        webhook: The webhook's URL as it was given at the create, its query included.
    """

    prediction_id: str
    model: str
    version: str | None
    status: PredictionStatus
    raw_status: str
    inputs: Mapping[str, JsonValue]
    output: JsonValue
    error: str | None
    metrics: Mapping[str, float]
    data_removed: bool
    created_at: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    web_url: str
    webhook: str = ""


class MalformedPredictionError(Exception):
    """A reply that is no prediction: it has no id."""


def parse_prediction(document: object) -> Prediction:
    """Read one prediction from decoded JSON.

    Fields that are missing or of another type become empty, since older replies omit some and
    the listing must go on; only an id is required.

    Raises:
        MalformedPredictionError: There is no id.
    """
    fields = _mapping(document)
    prediction_id = fields.get("id")
    if not isinstance(prediction_id, str) or not prediction_id:
        raise MalformedPredictionError(f"a reply without a prediction id: {str(document)[:200]}")
    raw_status = _text(fields.get("status")) or ""
    status = _status(raw_status)
    if status is PredictionStatus.UNRECOGNISED:
        raw_status = redacted(raw_status)  # the words that are known hold no secret
    urls = _mapping(fields.get("urls"))
    return Prediction(
        prediction_id=prediction_id,
        model=_text(fields.get("model")) or "",
        version=_text(fields.get("version")),
        status=status,
        raw_status=raw_status,
        inputs=_mapping(fields.get("input")),
        output=fields.get("output"),
        error=None if fields.get("error") is None else redacted(str(fields["error"])),
        metrics=_numbers(fields.get("metrics")),
        data_removed=fields.get("data_removed") is True,
        created_at=_time(fields.get("created_at")),
        started_at=_time(fields.get("started_at")),
        completed_at=_time(fields.get("completed_at")),
        web_url=_text(urls.get("web")) or "",
        webhook=_text(fields.get("webhook")) or "",
    )


def _status(word: str) -> PredictionStatus:
    try:
        return PredictionStatus(word)
    except ValueError:
        return PredictionStatus.UNRECOGNISED


def _mapping(value: object) -> dict[str, JsonValue]:
    return cast("dict[str, JsonValue]", value) if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return str(value)


def _numbers(value: object) -> dict[str, float]:
    # JSON as Python reads it knows NaN, Infinity and integers that no float holds; charging by one
    # of those would fail, or charge nonsense.
    return {
        name: float(number)
        for name, number in _mapping(value).items()
        if isinstance(number, int | float) and not isinstance(number, bool) and 0 <= number <= _MOST
    }


def _time(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        time = datetime.fromisoformat(value)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
