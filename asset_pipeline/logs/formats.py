"""A record as a JSON line for machines, and as a sentence for people."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

from asset_pipeline.logs.redaction import given_with

_ENCODER = json.JSONEncoder(ensure_ascii=False, default=str)


class JsonLines(logging.Formatter):
    """Writes a record as one JSON object: when, how bad, who, what, and the ids it is about."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line without its end."""
        line: dict[str, object] = {
            "time": _time(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "pid": record.process,
        }
        for name in given_with(record):
            line.setdefault(name, record.__dict__[name])
        if record.exc_text:
            line["exception"] = record.exc_text
        if record.stack_info:
            line["stack"] = record.stack_info
        return _ENCODER.encode(line)


class Sentences(logging.Formatter):
    """Writes a record as a line that begins with what it is about."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line, and the traceback below it when there is one."""
        moment = datetime.fromtimestamp(record.created, UTC)
        text = f"{moment:%H:%M:%S} {record.levelname} {sentence(record)}"
        return f"{text}\n{record.exc_text}" if record.exc_text else text


def sentence(record: logging.LogRecord) -> str:
    """Return a record's message with the partition it is about, if one."""
    message, partition = record.getMessage(), getattr(record, "partition", None)
    return message if partition is None else f"{getattr(record, 'kind', '')}/{partition}: {message}"


def _time(created: float) -> str:
    return datetime.fromtimestamp(created, UTC).isoformat(timespec="milliseconds")
