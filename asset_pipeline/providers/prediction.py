"""The provider's object, read tolerantly: a row that is odd must not hide the others."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import cast

from pydantic import JsonValue

from asset_pipeline.disclosure.process_redactor import redacted
from asset_pipeline.foreign.addresses import LONGEST_ADDRESS, is_address
from asset_pipeline.foreign.text import ID_LENGTH, cleaned, is_clean, is_id, moment, number


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

_LARGEST_INPUT = 2.0**64  # the largest seed

_LONGEST_WORD = 100
_LONGEST_NAME = 200
_LONGEST_MODEL = 300
_LONGEST_ERROR = 4000
_LONGEST_INPUT = 100_000
_MOST_FIELDS = 1000
_MOST_OUTPUTS = 10_000

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
    """Read one prediction from decoded JSON, cleaned for storing and showing.

    Fields that are missing or of another type become empty, since older replies omit some and
    the listing must go on; only an id is required. What tells whose a prediction is, its model, its
    inputs and its webhook, is never mended: a text that was changed here would prove that the
    prediction is another's. It is left out, and proves nothing.

    Raises:
        MalformedPredictionError: There is no id, or one that no id looks like.
    """
    fields = _mapping(document)
    prediction_id = fields.get("id")
    if not isinstance(prediction_id, str) or not is_id(prediction_id):
        raise MalformedPredictionError("a reply without a prediction id")
    raw_status = cleaned(_text(fields.get("status")), _LONGEST_WORD)
    status = _status(raw_status)
    if status is PredictionStatus.UNRECOGNISED:
        raw_status = redacted(raw_status)  # the words that are known hold no secret
    urls = _mapping(fields.get("urls"))
    error = fields.get("error")
    return Prediction(
        prediction_id=prediction_id,
        model=_whole(fields.get("model"), _LONGEST_MODEL),
        version=_whole(fields.get("version"), ID_LENGTH) or None,
        status=status,
        raw_status=raw_status,
        inputs=_inputs(fields.get("input")),
        output=_output(fields.get("output")),
        error=None if error is None else redacted(cleaned(_text(error), _LONGEST_ERROR)),
        metrics=_numbers(fields.get("metrics")),
        data_removed=fields.get("data_removed") is True,
        created_at=moment(fields.get("created_at")),
        started_at=moment(fields.get("started_at")),
        completed_at=moment(fields.get("completed_at")),
        web_url=_page(urls.get("web")),
        webhook=_whole(fields.get("webhook"), LONGEST_ADDRESS),
    )


def _status(word: str) -> PredictionStatus:
    try:
        return PredictionStatus(word)
    except ValueError:
        return PredictionStatus.UNRECOGNISED


def _mapping(value: object) -> dict[str, JsonValue]:
    return cast("dict[str, JsonValue]", value) if isinstance(value, dict) else {}


def _text(value: object) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    try:
        # Python writes no integer of more than 4,300 digits.
        return json.dumps(value)
    except ValueError:
        return type(value).__name__


def _whole(value: object, longest: int) -> str:
    """Return a text as it came; empty when it could not be stored so."""
    return value if isinstance(value, str) and is_clean(value, longest) else ""


def _page(value: object) -> str:
    address = _whole(value, LONGEST_ADDRESS)
    return address if is_address(address) else ""


def _inputs(value: object) -> dict[str, JsonValue]:
    """Return the inputs that came whole and can be stored."""
    return {
        name: part
        for name, part in islice(_mapping(value).items(), _MOST_FIELDS)
        if is_clean(name, _LONGEST_NAME) and _is_storable(part)
    }


def _is_storable(value: JsonValue) -> bool:
    waiting, values = [value], 0
    while waiting:
        part = waiting.pop()
        values += 1
        if values > _MOST_FIELDS:
            return False
        if isinstance(part, str):
            if not is_clean(part, _LONGEST_INPUT):
                return False
        elif isinstance(part, list):
            waiting.extend(part[: _MOST_FIELDS + 1])
        elif isinstance(part, dict):
            if not all(is_clean(name, _LONGEST_NAME) for name in part):
                return False
            waiting.extend(part.values())
        elif not isinstance(part, bool | None) and not -_LARGEST_INPUT <= part <= _LARGEST_INPUT:
            return False
    return True


def _output(value: JsonValue) -> JsonValue:
    """Return an output whose texts can be stored; it may hold a whole file as a text."""
    if isinstance(value, str):
        return value if is_clean(value, len(value)) else cleaned(value, len(value))
    if isinstance(value, list):
        return [_output(part) for part in value[:_MOST_OUTPUTS]]
    if isinstance(value, dict):
        parts = islice(value.items(), _MOST_OUTPUTS)
        return {cleaned(name, _LONGEST_NAME): _output(part) for name, part in parts}
    if value is None or isinstance(value, bool) or -_LARGEST_INPUT <= value <= _LARGEST_INPUT:
        return value
    return None


def _numbers(value: object) -> dict[str, float]:
    # Charging by a number out of range would fail, or charge nonsense.
    found = (
        (name, number(part, _MOST))
        for name, part in islice(_mapping(value).items(), _MOST_FIELDS)
        if is_clean(name, _LONGEST_NAME)
    )
    return {name: part for name, part in found if part is not None}
