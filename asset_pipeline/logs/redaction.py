"""Nothing secret leaves by a log."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Sequence
from typing import cast

from asset_pipeline.disclosure.redactor import Redactor
from asset_pipeline.logs.fields import log_fields

# What is in every record; anything else was given as `extra`.
STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "redacted"}


def given_with(record: logging.LogRecord) -> list[str]:
    """Return the names of a record's own fields, in the order in which they were given."""
    return [name for name in record.__dict__ if name not in STANDARD]


class RedactingFilter(logging.Filter):
    """Adds the bound fields to records and redacts them in place, for all handlers after it."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact message, arguments, exception, stack and extra fields; keep every record."""
        if getattr(record, "redacted", False):
            return True
        message = _message(record)
        # What is bound may come from outside too: an id is the provider's word.
        record.__dict__.update(log_fields())
        extra = given_with(record)
        record.msg, record.args = message, None
        if not self._is_plain(record, message, extra):
            self._redact(record, extra)
        record.redacted = True
        return True

    def _is_plain(self, record: logging.LogRecord, message: str, extra: Sequence[str]) -> bool:
        """Tell at one look, a fifth of the work, that a record is as harmless as most are."""
        if record.exc_info or record.exc_text or record.stack_info:
            return False
        values = [record.__dict__[name] for name in extra]
        if not all(isinstance(value, str | int | float | None) for value in values):
            return False
        return self._redactor.is_clean("\n".join([record.name, message, *extra, *map(str, values)]))

    def _redact(self, record: logging.LogRecord, extra: Sequence[str]) -> None:
        record.msg = self._redactor.text(record.msg)
        record.name = self._redactor.text(record.name)
        if record.exc_info:
            # The text of the whole chain; formatters print it in the place of the exception.
            lines = traceback.format_exception(
                *cast("tuple[type, BaseException, None]", record.exc_info)
            )
            record.exc_text = self._redactor.text("".join(lines).rstrip())
            record.exc_info = None
        elif record.exc_text:
            record.exc_text = self._redactor.text(record.exc_text)
        if record.stack_info:
            record.stack_info = self._redactor.text(record.stack_info)
        given = {name: record.__dict__.pop(name) for name in extra}
        record.__dict__.update(cast("dict[str, object]", self._redactor.value(given)))


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as error:  # noqa: BLE001 -- a bad log call must not end what it reports on
        return f"{record.msg} [its arguments cannot be shown: {type(error).__name__}]"
