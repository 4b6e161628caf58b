"""How a part of an installation is: what `doctor` finds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


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
