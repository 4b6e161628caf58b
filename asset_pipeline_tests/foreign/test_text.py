"""Text and numbers of others: whatever they hold, what comes out can be stored and shown."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asset_pipeline.foreign.text import (
    cleaned,
    is_clean,
    is_id,
    moment,
    number,
    written_number,
)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("plain, with umlauts: \xe4 and \U0001f600", "plain, with umlauts: \xe4 and \U0001f600"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("a\x00b", "a\ufffdb"),
        ("a\ud800b", "a\ufffdb"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://x\x1b\\link", "link"),
        ("a\x9b31mb", "a\ufffd31mb"),
        ("a\u202eb", "a\ufffdb"),
        ("x" * 30, "x" * 17 + "..."),
    ],
)
def test_text_is_cleaned_and_shortened(text: str, clean: str) -> None:
    """Escape sequences vanish whole; characters that nothing can store are replaced."""
    assert cleaned(text, 20 if text.startswith("x") else 100) == clean


@given(
    text=st.text(alphabet=st.characters(exclude_categories=()), max_size=300),
    longest=st.integers(10, 400),
)
def test_whatever_is_cleaned_is_clean(text: str, longest: int) -> None:
    """It is short enough, can be encoded, and cleaning it again changes nothing."""
    clean = cleaned(text, longest)
    assert is_clean(clean, longest)
    assert cleaned(clean, longest) == clean
    clean.encode()


@pytest.mark.parametrize("value", ["p1", "gm3qorzdhgbfurvjtvhg6dckhu", "a" * 64, "A.b:c_d-1"])
def test_an_id_is_short_and_plain(value: str) -> None:
    """Replicate's own ids and those of servers like it."""
    assert is_id(value)


@pytest.mark.parametrize(
    "value",
    ["", "a" * 65, "../x", "a/b", "a b", "a\x00", "a\n", "\ud800", "\xe4", "?", None, 7, {}],
)
def test_what_is_no_id_is_none(value: object) -> None:
    """It would change the path that is asked for, or not fit its column."""
    assert not is_id(value)


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), -1, -0.5, 10**400, 101, True, "7", None],
    ids=["nan", "inf", "-1", "-0.5", "huge", "over", "bool", "text", "none"],
)
def test_a_number_out_of_range_is_none(value: object) -> None:
    """Nothing is counted or charged by it."""
    assert number(value, 100) is None
    assert number(100, 100) == 100


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7", 7),
        ("9e9", 100),
        ("1e400", None),
        ("nan", None),
        ("-1", None),
        ("", None),
        ("9" * 5000, None),
        ("Infinity", None),
    ],
    ids=["7", "cut", "1e400", "nan", "-1", "empty", "long", "infinity"],
)
def test_a_written_number_is_cut_to_its_range(text: str, value: float | None) -> None:
    """A header that asks for a year of waiting gets the most that is granted."""
    assert written_number(text, 100) == value


@pytest.mark.parametrize(
    "text",
    [
        "yesterday",
        "9999-12-31T23:59:59Z",
        "0001-01-01T00:00:00+14:00",
        "1969-12-31T23:59:59Z",
        "",
        "2026-11-21T12:00:00Z" + " " * 10_000,
    ],
    ids=["word", "9999", "1", "1969", "empty", "long"],
)
def test_a_date_out_of_range_is_none(text: str) -> None:
    """A margin added to it would pass the end of the calendar."""
    assert moment(text) is None
    assert moment("2026-11-21T13:00:00+01:00") == datetime(2026, 11, 21, 12, tzinfo=UTC)
