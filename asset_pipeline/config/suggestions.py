"""Suggesting the name that was meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher
from functools import lru_cache
from itertools import islice

_CUTOFF = 0.55

# Who writes a name of a thousand letters, or a table of a thousand columns, is not helped by a
# guess: comparing one of a million letters takes half a second.
_LONGEST = 100
_MOST_NAMES = 1_000

_LISTED = 20


def nearest(name: str, names: Iterable[str], *, limit: int = 3) -> tuple[str, ...]:
    """Return up to ``limit`` of ``names`` that resemble ``name``, the likest first.

    A path such as ``owner/model`` is also compared by its last part, because the owner is what
    people forget.
    """
    return _nearest(name.casefold(), tuple(names), limit)


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return a hint for an unknown ``name``: the nearest names, else all that are known."""
    known = tuple(islice((each for each in names if len(each) <= _LONGEST), _MOST_NAMES))
    close = nearest(name, known) if len(name) <= _LONGEST else ()
    if close:
        return f"Did you mean {' or '.join(close)}?"
    more = ", ..." if len(known) > _LISTED else ""
    return f"Known: {', '.join(known[:_LISTED])}{more}." if known else ""


# Cached because one wrong default repeats its mistake in every prompt of a collection.
@lru_cache(maxsize=256)
def _nearest(name: str, names: tuple[str, ...], limit: int) -> tuple[str, ...]:
    scored = sorted((-_likeness(name, other.casefold()), other) for other in names)
    return tuple(other for score, other in scored[:limit] if -score >= _CUTOFF)


def _likeness(name: str, other: str) -> float:
    short = name.rpartition("/")[2]
    matcher = SequenceMatcher(None, "", other)  # caches what it knows of its second sequence
    matcher.set_seq1(name)
    full = _ratio(matcher)
    if "/" not in other:
        return full
    matcher.set_seq2(other.rpartition("/")[2])
    matcher.set_seq1(short)
    return max(full, _ratio(matcher))


def _ratio(matcher: SequenceMatcher[str]) -> float:
    # The quick ratio is an upper bound: it spares the slow one among thousands of names.
    return matcher.ratio() if matcher.quick_ratio() >= _CUTOFF else 0.0
