"""The progress of the checks, so that unchanged files are not read again.

It is kept in the metadata of the evaluation itself: with it, and only with it, the next one knows
what has been looked at.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from asset_pipeline.defs.checks.inspection import Inspection
from asset_pipeline.ledger.clip_inspection import AskedClip

STATE = "looked_until"
"""The name under which it is kept."""

# Two processes' clocks may differ by so much, and a row be seen later than one with a later stamp.
_OVERLAP = timedelta(seconds=10)
_REMEMBERED = 1000


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an evaluation came.

    Attributes:
        until: When the newest clip that was looked at landed; None before the first.
        seen: Ids of the clips that landed just before, and were looked at.
        again: Ids of the clips that something was wrong with.
    """

    until: datetime | None = None
    seen: frozenset[str] = frozenset()
    again: tuple[str, ...] = ()

    @property
    def since(self) -> datetime | None:
        """The time after which clips may not have been checked."""
        return self.until and self.until - _OVERLAP

    def still_due(self, found: Sequence[AskedClip]) -> list[AskedClip]:
        """Return those clips that were not looked at, or have to be looked at again."""
        done = self.seen.difference(self.again)
        return [asked for asked in found if asked.clip.clip_id not in done]

    def after(self, looked_at: Sequence[AskedClip], inspection: Inspection) -> Progress:
        """Return how far it is after more clips were looked at."""
        landed = [asked.clip.created_at for asked in looked_at]
        until = max(landed if self.until is None else [*landed, self.until], default=None)
        flawed = dict.fromkeys(flaw.clip.clip_id for flaw in inspection.flaws)
        seen = {
            asked.clip.clip_id
            for asked in looked_at
            if until is not None and asked.clip.created_at > until - _OVERLAP
        }
        if until == self.until:
            seen |= self.seen
        return Progress(until, frozenset(seen), tuple(flawed)[:_REMEMBERED])

    def written(self) -> str:
        """Return it as text for the metadata."""
        until = self.until.isoformat() if self.until else None
        return json.dumps({"until": until, "seen": sorted(self.seen), "again": self.again})

    @staticmethod
    def read(text: str) -> Progress:
        """Return what :meth:`written` wrote."""
        found = json.loads(text)
        until = found["until"]
        return Progress(
            datetime.fromisoformat(until) if until else None,
            frozenset(found["seen"]),
            tuple(found["again"]),
        )
