"""Nothing secret leaves by a log: what is known to be secret, and what looks like it."""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from asset_pipeline.logs.fields import log_fields
from asset_pipeline.logs.secrets import KnownSecrets

MASK = "[redacted]"

# What is in every record; anything else was given as `extra`.
STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "redacted"}

_DEEPEST = 8

# Looked for first, in lower case: most lines hold none of them, and searching costs 1 µs.
_TRIGGERS = (
    *("r8_", "whsec_", "xox", "akia", "asia", "ghp_", "gho_", "ghs_", "github_pat", "sk-", "eyj"),
    *("bearer", "basic", "qmvhcmvyi", "ymvhcmvyi", "://", "slack.com", "token", "secret", "passw"),
    *("apikey", "api_key", "api-key", "access_key", "access-key", "private", "credential"),
    *("authorization", "signature", "cookie", "webhook_url"),
)

_NAME = (
    r"token|secret|passw(?:or)?d|api[-_]?key|access[-_]?key|private[-_]?key|credentials?"
    r"|authorization|signature|cookie|webhook_url"
)
_SHAPES: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*-----|\Z)", re.DOTALL),
        MASK,
    ),
    (
        re.compile(
            r"(?i)((?:authorization|cookie)\\?[\"']?\s*(?:=>|[=:,])\s*b?\\?[\"']?)[^\"'\r\n\\]+"
        ),
        rf"\1{MASK}",
    ),
    (re.compile(r"(?i)\b(bearer(?:\s|%20)+)[\w.~+/=%-]{6,}"), rf"\1{MASK}"),
    (re.compile(r"(?i)\b(basic(?:\s|%20)+)(?=\S*[\d=])[\w+/=%-]{8,}"), rf"\1{MASK}"),
    # "Bearer " and "bearer " in base64, from the beginning of the encoded text.
    (re.compile(r"(?:QmVhcmVyI|YmVhcmVyI)[\w+/=-]+"), MASK),
    (re.compile(r"(?i)\br8_[a-z0-9]{6,}"), MASK),
    (re.compile(r"whsec_[\w+/=-]{6,}"), MASK),
    (re.compile(r"\b(?:xox[a-z]-|gh[pousr]_|github_pat_|sk-)[\w-]{10,}"), MASK),
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}"), MASK),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?"), MASK),
    (re.compile(r"(hooks\.slack\.com/)[\w/+-]+"), rf"\1{MASK}"),
    (re.compile(r"(://[^\s/:@'\"]*:)[^\s/@'\"]+(@)"), rf"\1{MASK}\2"),
    # NAME=value, 'name': 'value', (b'name', b'value'), ?name=value
    (
        re.compile(
            rf"(?i)((?:{_NAME})[\w-]*\\?[\"']?\s*(?:=>|[=:,])\s*b?)"
            r"(?:\\?\"[^\"]*\"|\\?'[^']*'|(?!none\b|null\b|true\b|false\b)[^\s\"'&,;)}\]]+)"
        ),
        rf"\1{MASK}",
    ),
)
_SECRET_KEY = re.compile(rf"(?i)(?:{_NAME})(?:s|_value)?$")


def given_with(record: logging.LogRecord) -> list[str]:
    """Return the names of a record's own fields, in the order in which they were given."""
    return [name for name in record.__dict__ if name not in STANDARD]


class Redactor:
    """Masks secrets in text and in what is made of text.

    Args:
        secrets: Known ones; they are found whole and in pieces, plain and encoded. What merely
            looks like a secret is masked without being known.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._known = KnownSecrets(secrets)

    def is_clean(self, text: str) -> bool:
        """Tell whether nothing in a text is secret or might be; a quick look."""
        lowered = text.lower()
        for trigger in _TRIGGERS:  # any() takes half as long again, at each record
            if trigger in lowered:
                return False
        return not self._known.may_be_in(text)

    def text(self, text: str) -> str:
        """Return text without secrets."""
        spans = self._known.spans(text)
        if spans:
            text = _masked(text, spans)
        lowered = text.lower()
        if any(trigger in lowered for trigger in _TRIGGERS):
            for shape, instead in _SHAPES:
                text = shape.sub(instead, text)
        return text

    def value(self, value: object, depth: int = 0) -> object:
        """Return what JSON can hold of a value; what hides under a telling key is masked too."""
        if value is None or isinstance(value, bool | int | float):
            return value
        if depth > _DEEPEST:
            return MASK
        if isinstance(value, Mapping):
            pairs = cast("Mapping[object, object]", value).items()
            return {self.text(_name(key)): self._paired(key, each, depth) for key, each in pairs}
        if isinstance(value, list | tuple | set | frozenset):
            items = list(cast("Iterable[object]", value))
            if len(items) == 2 and isinstance(items[0], str | bytes):  # noqa: PLR2004 -- a header
                return [self.text(_name(items[0])), self._paired(items[0], items[1], depth)]
            return [self.value(each, depth + 1) for each in items]
        return self.text(str(value))

    def _paired(self, key: object, value: object, depth: int) -> object:
        return MASK if value and _SECRET_KEY.search(_name(key)) else self.value(value, depth + 1)


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


def _name(key: object) -> str:
    return key.decode("latin-1") if isinstance(key, bytes) else str(key)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as error:  # noqa: BLE001 -- a bad log call must not end what it reports on
        return f"{record.msg} [its arguments cannot be shown: {type(error).__name__}]"


def _masked(text: str, spans: list[tuple[int, int]]) -> str:
    parts: list[str] = []
    shown = 0
    for start, end in spans:
        if start >= shown:
            parts.extend((text[shown:start], MASK))
        shown = max(shown, end)
    return "".join([*parts, text[shown:]])
