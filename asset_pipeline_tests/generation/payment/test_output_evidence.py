"""When a look at a file is the last word: only bytes that were seen again are held against it."""

from __future__ import annotations

import pytest

from asset_pipeline.generation.payment.output_evidence import (
    FlawKind,
    Sighting,
    final_flaw,
    is_final,
)

SPREAD = 30.0


def _seen(kind: FlawKind, *looks: tuple[float, str | None]) -> list[Sighting]:
    return [Sighting(kind, f"{kind} {sha256}", at, sha256) for at, sha256 in looks]


@pytest.mark.parametrize(
    ("seen", "final"),
    [
        (_seen(FlawKind.TOO_LARGE, (0, None)), True),
        (_seen(FlawKind.OTHER, (0, "a")), False),
        (_seen(FlawKind.OTHER, (0, "a"), (1, "a")), True),
        (_seen(FlawKind.OTHER, (0, "a"), (1, "b")), False),
        (_seen(FlawKind.CUT, (0, "a"), (1, "a"), (3, "a")), False),
        (_seen(FlawKind.CUT, (0, "a"), (31, "a")), False),
        (_seen(FlawKind.CUT, (0, "a"), (15, "a"), (30, "a")), True),
        (_seen(FlawKind.CUT, (0, "a"), (15, "b"), (30, "a"), (40, "a"), (50, "a")), False),
        (_seen(FlawKind.PAGE, *((at, "a") for at in range(100))), False),
        (_seen(FlawKind.AWAY, *((at, None) for at in range(100))), False),
    ],
)
def test_one_file(seen: list[Sighting], final: bool) -> None:  # noqa: FBT001
    """Too large at once, no clip at the second look, damage over half a minute, the rest never."""
    assert is_final(seen, cut_spread=SPREAD) is final


def test_all_files_of_an_output() -> None:
    """One that may still come keeps all open; a page beside a bad file is none."""
    blank = _seen(FlawKind.OTHER, (0, "a"), (1, "a"))
    page = _seen(FlawKind.PAGE, (0, "p"), (1, "p"))
    away = _seen(FlawKind.AWAY, (0, None), (1, None))
    assert final_flaw([blank], cut_spread=SPREAD) is blank[-1]
    assert final_flaw([page, blank], cut_spread=SPREAD) is blank[-1]
    assert final_flaw([page[:1], blank], cut_spread=SPREAD) is None
    assert final_flaw([blank, away], cut_spread=SPREAD) is None
    assert final_flaw([page], cut_spread=SPREAD) is None
