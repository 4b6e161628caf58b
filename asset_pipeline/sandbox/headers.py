"""What a create asks for in its headers: how long to hold the reply, how long it may run."""

from __future__ import annotations

import re

from starlette.datastructures import Headers

from asset_pipeline.sandbox.problems import InvalidField, ProblemError, invalid

_LONGEST_WAIT = 60.0
# A header may hold any byte: "²" is a digit to Python, and 5,000 digits are no number to it.
_WAIT = re.compile(r"wait(?:=([0-9]{1,6}))?")
_DURATION = re.compile(r"(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,6}(?:\.[0-9]{1,9})?)s?)?")
_SHORTEST_CANCEL, _LONGEST_CANCEL = 5, 86_400


def preferred_wait(headers: Headers) -> float | None:
    """Return the seconds of ``Prefer: wait`` or ``wait=N``; None when it was not sent.

    Raises:
        ProblemError: 422, a time that is not allowed.
    """
    given = headers.get("prefer")
    if given is None:
        return None
    match = _WAIT.fullmatch(given.strip())
    seconds = _LONGEST_WAIT if match is None or match[1] is None else float(match[1])
    if match is None or not 1 <= seconds <= _LONGEST_WAIT:
        issue = InvalidField("format", "Prefer", "must be wait, or wait=1 to wait=60 seconds")
        raise ProblemError(invalid([issue]))
    return seconds


def cancel_after(headers: Headers) -> float | None:
    """Return the seconds of ``Cancel-After``, such as ``5s``, ``2m``, ``1h30m`` or ``90``.

    Raises:
        ProblemError: 422, a time that is not allowed.
    """
    given = headers.get("cancel-after")
    if given is None:
        return None
    match = _DURATION.fullmatch(given.strip())
    seconds = 0.0
    if match is not None:
        hours, minutes, rest = match.groups()
        seconds = int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(rest or 0)
    if not _SHORTEST_CANCEL <= seconds <= _LONGEST_CANCEL:
        issue = InvalidField("format", "Cancel-After", "must be between 5s and 24h")
        raise ProblemError(invalid([issue]))
    return seconds
