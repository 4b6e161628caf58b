"""Masking what is known to be secret, and what looks like it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from asset_pipeline.disclosure.secrets import KnownSecrets

MASK = "[redacted]"

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
# Each of these ends where the secret does, so that what stands around it, a JSON document for
# instance, stays whole.
_TOKENS: tuple[tuple[re.Pattern[str], str], ...] = (
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
    # Whoever is named in a URL together with a password; a password may hold a slash, as the
    # secret keys of S3 do, and an "@".
    (re.compile(r"(://[\"']?)[^\s/@\"'\\]*:[^\s\"'\\]*@"), rf"\1{MASK}@"),
)
# What none of them is without, in base64 rarely by chance: an event holds 20 kB of picture, in
# which looking for a shape takes half a millisecond and for these words 10 µs each.
_WORDS = ("r8_", "whsec_", "://", "slack.com", "AKIA", "ASIA", "eyJ", "sk-", "github_pat_")
_WORDS_ANY_CASE = ("bearer", "basic", "qmvhcmvyi", "ymvhcmvyi", "r8_")
_SLIM = re.compile(r"xox[a-z]-|gh[pousr]_")
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
    *_TOKENS,
    # A user without a password, as keys are given; and a query, which signs or names.
    (re.compile(r"(://[\"']?)[^\s/@\"'?#\\]+@"), rf"\1{MASK}@"),
    # That of a listing pages through it, and a log says where it is.
    (
        re.compile(r"(://[^\s?\"'<>\\]*\?)(?!cursor=|created_after=)[^\s\"'<>\\]+"),
        rf"\1{MASK}",
    ),
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
        """Return what somebody said, an error for instance, without secrets.

        URLs lose who is named in them, and their query.
        """
        return self._without(text, _SHAPES)

    def data(self, text: str) -> str:
        """Return data, such as a prompt or a JSON document, without secrets.

        What only a name beside it makes suspect stays: a prompt may well say "password: none".
        """
        return self._without(text, _TOKENS if _may_hold_token(text) else ())

    def _without(self, text: str, shapes: Sequence[tuple[re.Pattern[str], str]]) -> str:
        spans = self._known.spans(text)
        if spans:
            text = _masked(text, spans)
        if not shapes:
            return text
        lowered = text.lower()
        if any(trigger in lowered for trigger in _TRIGGERS):
            for shape, instead in shapes:
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


def _may_hold_token(text: str) -> bool:
    if any(word in text for word in _WORDS) or _SLIM.search(text):
        return True
    lowered = text.lower()
    return any(word in lowered for word in _WORDS_ANY_CASE)


def _name(key: object) -> str:
    return key.decode("latin-1") if isinstance(key, bytes) else str(key)


def _masked(text: str, spans: list[tuple[int, int]]) -> str:
    parts: list[str] = []
    shown = 0
    for start, end in spans:
        if start >= shown:
            parts.extend((text[shown:start], MASK))
        shown = max(shown, end)
    return "".join([*parts, text[shown:]])
