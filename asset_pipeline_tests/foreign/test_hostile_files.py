"""A seeded part of what `python -m benchmarks hostile_files` does by the thousand."""

from __future__ import annotations

from benchmarks.hostile_files import collections, environments, media


def test_hostile_collections_are_problems_and_the_good_file_is_read() -> None:
    """Two hundred files, damaged, assembled or blown up: no traceback, no hang."""
    tally = collections(200)
    assert (tally.done, tally.faults) == (200, [])


def test_hostile_media_are_refused_or_delivered() -> None:
    """A hundred mutations and bombs: each is a clip or one sentence, soon."""
    tally = media(100)
    assert (tally.done, tally.faults) == (100, [])
    assert 0 < tally.refused < tally.done


def test_hostile_environments_are_settings_or_a_sentence() -> None:
    """Two hundred environments: no traceback of whatever could not read them."""
    tally = environments(200)
    assert (tally.done, tally.faults) == (200, [])
