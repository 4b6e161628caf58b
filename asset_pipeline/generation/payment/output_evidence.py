"""Pure rules that decide when a file of an output is finally bad or missing.

A provider's storage, a proxy before it and its sign-in pages pass. What a file itself shows does
not: a picture of one colour stays one. So only bytes that were seen again are held against a model.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

# The same damaged bytes, so often and over Timing.cut_spread, are all that the provider has.
_CUT_SIGHTINGS = 3


class FlawKind(StrEnum):
    """What is wrong with a downloaded file."""

    AWAY = "away"  # nothing came, or not all of it: an error, a broken connection, no bytes
    PAGE = "page"  # a page for people or for programs, where a file was due
    CUT = "cut"  # the right kind of file, cut short or damaged
    OTHER = "other"  # whole, and no clip: blank, silent, of another medium
    TOO_LARGE = "too_large"
    NOWHERE = "nowhere"  # an address that nobody can be asked for, or that we don't ask


@dataclass(frozen=True, slots=True)
class Sighting:
    """One look at one file.

    Attributes:
        flaw: What is wrong, as a sentence.
        seen_at: By the monotonic clock, in seconds.
        sha256: Of what came; None where nothing did.
        is_data: Whether it is a document for programs: beside a file it is what it was meant to be.
    """

    kind: FlawKind
    flaw: str
    seen_at: float
    sha256: str | None = None
    is_data: bool = False

    @property
    def may_pass(self) -> bool:
        """Whether another look may show something else, so that a file after it has to wait."""
        return not self.is_data and self.kind in {FlawKind.AWAY, FlawKind.PAGE, FlawKind.CUT}

    @property
    def is_of_the_file(self) -> bool:
        """Whether the file itself was there, and is no clip."""
        return self.kind not in {FlawKind.AWAY, FlawKind.PAGE, FlawKind.NOWHERE}


def is_final(seen: Sequence[Sighting], *, cut_spread: float) -> bool:
    """Tell whether a file will never be a clip, from all downloads of it in order."""
    last = seen[-1]
    if last.kind in {FlawKind.TOO_LARGE, FlawKind.NOWHERE}:
        return True
    same = _equal_at_the_end(seen)
    if last.kind is FlawKind.OTHER:
        return len(same) > 1
    if last.kind is FlawKind.CUT:
        return len(same) >= _CUT_SIGHTINGS and last.seen_at - same[0].seen_at >= cut_spread
    return False


def final_flaw(files: Iterable[Sequence[Sighting]], *, cut_spread: float) -> Sighting | None:
    """Return what to say of an output none of whose files can become a clip; None while one may.

    A page that came twice is no file, beside one that was. Alone it may be a sign-in page, or an
    error that some proxy calls a success: that passes.
    """
    first: Sighting | None = None
    for seen in files:
        if is_final(seen, cut_spread=cut_spread):
            first = first or seen[-1]
        elif seen[-1].kind is not FlawKind.PAGE or len(_equal_at_the_end(seen)) < 2:  # noqa: PLR2004 -- twice
            return None
    return first


def _equal_at_the_end(seen: Sequence[Sighting]) -> Sequence[Sighting]:
    """Return the last looks that all showed the same bytes."""
    last = seen[-1]
    if last.sha256 is None:
        return ()
    start = len(seen)
    while start and seen[start - 1].sha256 == last.sha256:
        start -= 1
    return seen[start:]
