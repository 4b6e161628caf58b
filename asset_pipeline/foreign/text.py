"""Text and numbers of others, cleaned once where they enter.

Postgres stores no NUL, no encoder writes a lone surrogate, and a terminal obeys escape sequences:
what is cleaned here may be stored, logged and shown anywhere.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

from asset_pipeline.disclosure.terminal import COMMANDS

ID_LENGTH = 64
"""The ledger's column holds so much; Replicate's own ids have 26 characters."""

_ID = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_.:-]{{0,{ID_LENGTH - 1}}}")

# Whole sequences: what stays of one would be read as text.
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)?", re.DOTALL)

# The separators of lines and paragraphs end a line of text where nobody expects it.
_UNFIT = re.compile(f"[{COMMANDS}\u2028\u2029]")
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_CUT = "..."

# Sums of a date and a margin must not pass the end of the calendar.
_FIRST_YEAR, _LAST_YEAR = 1970, 2400


def cleaned(text: str, longest: int) -> str:
    """Return text that can be stored and shown, shortened to ``longest`` characters."""
    # Cut first: a megabyte is not worth cleaning for a hundred characters.
    cut = _ESCAPE.sub("", text[: longest * 2 + 100])
    clean = _UNFIT.sub(_REPLACEMENT, cut)
    return clean if len(clean) <= longest else clean[: longest - len(_CUT)] + _CUT


def is_clean(text: str, longest: int) -> bool:
    """Tell whether cleaning would change nothing."""
    return len(text) <= longest and _UNFIT.search(text) is None


def is_id(value: object) -> bool:
    """Tell whether a value has the shape of an id: it may be stored, and be part of a path."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def number(value: object, most: float) -> float | None:
    """Return a number from zero to ``most``; None for anything else.

    JSON as Python reads it knows NaN, Infinity and integers that no float holds.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        return None
    return float(value)


def written_number(text: str, most: float) -> float | None:
    """Return a number that a header names, cut to ``most``; None for what is none."""
    if len(text) > ID_LENGTH:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return min(value, most) if math.isfinite(value) and value >= 0 else None


def moment(value: object) -> datetime | None:
    """Return a time in UTC; None for what is no time, or centuries away."""
    if not isinstance(value, str) or len(value) > ID_LENGTH:
        return None
    try:
        time = datetime.fromisoformat(value)
        time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return time if _FIRST_YEAR <= time.year <= _LAST_YEAR else None
