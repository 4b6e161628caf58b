"""How a part of an installation is: what `doctor` finds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final


class State(StrEnum):
    """How a part is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Checkup:
    """How one part is, as a sentence, and what to do if anything is."""

    part: str
    state: State
    detail: str
    advice: str = ""


def nearest(folder: Path) -> Path:
    """Return a folder, or the nearest one above it that exists."""
    return next(at for at in (folder, *folder.parents) if at.is_dir())


# Heartbeats count by the half minute, signed links by the quarter of an hour.
_CLOCK_WARN: Final = 5.0
_CLOCK_FAIL: Final = 60.0


def clock_checkup(part: str, whose: str, ahead: float) -> Checkup:
    """Return how this machine's clock is beside another one.

    Args:
        part: What is looked at.
        whose: The other clock, as in "the provider's".
        ahead: Seconds that the other one is ahead.
    """
    size = abs(ahead)
    if size < _CLOCK_WARN:
        return Checkup(part, State.OK, f"This machine's clock agrees with {whose}.")
    where = "behind" if ahead > 0 else "ahead of"
    return Checkup(
        part,
        State.FAIL if size >= _CLOCK_FAIL else State.WARN,
        f"This machine's clock is {size:,.0f} s {where} {whose}.",
        "Let it be set by NTP: heartbeats, links and days of budgets go by it.",
    )
