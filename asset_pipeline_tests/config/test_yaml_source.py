"""Files that people write: bytes to text, text to values."""

from __future__ import annotations

from pathlib import Path

import pytest

from asset_pipeline.config.yaml_source import (
    CONTROL_STAND_IN,
    SourceError,
    lines_of,
    parse_yaml,
    read_utf8,
)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("16:9", "16:9"),
        ("no", "no"),
        ("on", "on"),
        ("2026-10-01", "2026-10-01"),
        ("0x1f", "0x1f"),
        (".inf", ".inf"),
        ("007", 7),
        ("-4", -4),
        ("0.25", 0.25),
        ("1e3", 1000.0),
        ("true", True),
        ("~", None),
        ('"4"', "4"),
    ],
)
def test_scalars_mean_what_was_typed(written: str, meant: object) -> None:
    """Only YAML 1.2's own words and decimal numbers are more than text."""
    value = parse_yaml(f"value: {written}").value
    assert value == {"value": meant}
    assert isinstance(value, dict)
    assert type(value["value"]) is type(meant)


def test_duplicate_keys_are_found_and_the_first_kept() -> None:
    """A key given twice is a flaw at the second, not a silent win for it."""
    document = parse_yaml("a:\n  b: 1\n  c: 2\n  b: 3\n")
    assert document.value == {"a": {"b": 1, "c": 2}}
    [flaw] = document.flaws
    assert (flaw.path, flaw.line) == (("a", "b"), 4)


@pytest.mark.parametrize(
    "written", ["&x [1, [2]]", "!!python/object:os.system {a: 1}", "{{a: 1}: 2}", "!!str 5"]
)
def test_a_flaw_spoils_its_own_value_only(written: str) -> None:
    """Anchors, tags and keys that are no names are flaws; what stands beside them is read."""
    document = parse_yaml(f"bad: {written}\ngood: 1\n")
    assert isinstance(document.value, dict)
    assert document.value["good"] == 1
    assert [flaw.line for flaw in document.flaws] == [1]


def test_aliases_cannot_multiply() -> None:
    """An alias is a flaw, so a file of ten lines cannot grow to gigabytes in memory."""
    document = parse_yaml("a: &a [x, x]\nb: [*a, *a]\n")
    assert document.value == {"a": None, "b": [None, None]}
    assert len(document.flaws) == 3


def test_deep_nesting_ends_in_a_flaw() -> None:
    """Brackets without end are refused before Python's stack is."""
    assert parse_yaml("[" * 500 + "]" * 500).flaws


def test_raw_control_characters_do_not_spoil_the_file() -> None:
    """A raw control character is replaced by a stand-in that the text rules refuse."""
    document = parse_yaml("a: bell \x07 here\nb: 2\n")
    assert document.value == {"a": f"bell {CONTROL_STAND_IN} here", "b": 2}


def test_no_yaml_at_all_names_its_line() -> None:
    """A syntax error says where."""
    with pytest.raises(SourceError, match="not YAML") as caught:
        parse_yaml("a: 1\nb: [1,\n")
    assert caught.value.line == 3


def test_a_second_document_is_refused() -> None:
    """What follows a second '---' would otherwise be lost without a word."""
    with pytest.raises(SourceError, match="second") as caught:
        parse_yaml("a: 1\n---\nb: 2\n")
    assert caught.value.line == 2


def test_nothing_is_none() -> None:
    """An empty file, or one of comments, is no value."""
    assert parse_yaml("# nothing\n").value is None


def test_lines_of_keys_items_and_missing_fields() -> None:
    """A place's line is its key's or item's; a place that is not there has its parent's."""
    text = "a:\n  - x: 1\n    y:\n      z: 2\n"
    places = [("a", 0, "y", "z"), ("a", 0, "y"), ("a", 0, "nothing"), ("a", 7), ("b",)]
    assert lines_of(text, places) == [4, 3, 2, 1, 1]


def test_not_utf8_names_byte_offset_and_line(tmp_path: Path) -> None:
    """A Latin-1 file is refused with the byte to look for."""
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"a: 1\nb: caf\xe9\n")
    with pytest.raises(SourceError, match="byte 0xe9 at offset 11") as caught:
        read_utf8(path)
    assert caught.value.line == 2


def test_byte_order_mark_is_dropped(tmp_path: Path) -> None:
    """What Windows editors put first is no part of the text."""
    path = tmp_path / "bom.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1")
    assert read_utf8(path) == "a: 1"


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    """A folder in a file's place is a sentence, not a traceback."""
    with pytest.raises(SourceError, match="cannot be read"):
        read_utf8(tmp_path)
