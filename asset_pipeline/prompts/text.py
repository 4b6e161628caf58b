"""The rules for prompt texts and prompt ids."""

from __future__ import annotations

import hashlib
import re
import unicodedata

from asset_pipeline.catalog.kind import Kind

MAX_CHARACTERS = {Kind.IMAGE: 2_000, Kind.AUDIO: 5_000}
"""The longest text sent, its style included. A longer one is refused, never cut."""

ID_RULE = "small letters, digits, '.', '_' and '-', at most 100, the first a letter or digit"

_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
_SLUG_CHARACTERS = 60
_ID_CHARACTERS = 100
# Controls other than newline and tab, lone surrogates, and noncharacters of the basic plane.
_FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")


def clean(text: str) -> str:
    """Return ``text`` in NFC, its line ends unified, without whitespace around it."""
    return unicodedata.normalize("NFC", text.replace("\r\n", "\n")).strip()


def objection(text: str) -> str | None:
    """Return why a cleaned ``text`` may not be sent to a model, or None."""
    return forbidden(text) if text else "it is empty."


def forbidden(text: str) -> str | None:
    """Return where ``text`` holds a character that is no text, or None."""
    found = _FORBIDDEN.search(text)
    if found is None:
        return None
    before = text[: found.start()]
    where = f"after {before[-20:]!r}" if before else "at its beginning"
    return f"it holds a control character or another that is no text, {where}."


def is_id(name: str) -> bool:
    """Return whether ``name`` can be a partition key: commas and slashes break Dagster's pages."""
    return _ID.fullmatch(name) is not None


def slug(text: str) -> str:
    """Return an id for ``text``: the same for the same text, whatever stands around it.

    A text too long for its slug, or without letters to make one of, ends in six digits of its
    SHA-256, because texts that begin alike are what a list of prompts is full of.
    """
    joined = re.sub("['\u2019]", "", text)  # it's: its, not it-s
    folded = unicodedata.normalize("NFKD", joined).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9]+", "-", folded).strip("-")
    if 0 < len(name) <= _SLUG_CHARACTERS:
        return name
    words = name[: _SLUG_CHARACTERS + 1].rpartition("-")[0] or name[:_SLUG_CHARACTERS]
    return with_digest(words or "prompt", text)


def with_digest(name: str, text: str) -> str:
    """Return ``name`` ending in six digits of the text's SHA-256, to tell it from similar names."""
    ending = f"-{hashlib.sha256(text.encode()).hexdigest()[:6]}"
    return name if name.endswith(ending) else name + ending


def id_of(written: str) -> str:
    """Return the id that somebody's own key makes: small letters, hyphens for what may not be.

    The same key gives the same id always, so that importing again finds its prompts.
    """
    folded = unicodedata.normalize("NFKD", written.strip()).encode("ascii", "ignore").decode()
    name = re.sub(r"[^a-z0-9._-]+", "-", folded.lower()).strip("-").lstrip("._-")
    if 0 < len(name) <= _ID_CHARACTERS:
        return name
    return with_digest(name[:90] or "prompt", written)
