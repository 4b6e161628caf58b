"""The rules for texts and ids."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asset_pipeline.prompts.text import clean, is_id, objection, slug

LEGAL_CHARACTERS = st.one_of(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cn", "Cs"]),
    st.sampled_from("\n\t'\":#-?&*!|>%@`{}[],~=<\\ \u00a0\u2028\u2029\ufeff"),
)
LEGAL_TEXTS = st.text(LEGAL_CHARACTERS, max_size=300).map(clean).filter(bool)


@given(st.text())
def test_cleaning_is_final(text: str) -> None:
    """A cleaned text is in NFC, trimmed, and cleaning it again changes nothing."""
    cleaned = clean(text)
    assert cleaned == clean(cleaned) == cleaned.strip()
    assert unicodedata.is_normalized("NFC", cleaned)


@given(LEGAL_TEXTS)
def test_legal_texts_are_legal(text: str) -> None:
    """Letters, marks, emoji, newlines and tabs of any script may be sent."""
    assert objection(text) is None


@pytest.mark.parametrize("character", ["\0", "\x07", "\r", "\x1b", "\x85", "\ud800", "\ufdd0"])
def test_characters_that_are_no_text_are_refused(character: str) -> None:
    """Controls, halves of characters and noncharacters never reach a provider."""
    assert "after 'a lake'" in str(objection(f"a lake{character}s"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A quiet lake.", "a-quiet-lake"),
        ("Café “Crème”: it's 5 o\u2019clock", "cafe-creme-its-5-oclock"),
        ("!!!", "prompt-e84c53"),
        ("静かな湖", "prompt-bd8a1d"),
        (
            "A cover page for a last will and testament, tied with a navy ribbon",
            "a-cover-page-for-a-last-will-and-testament-tied-with-a-navy-5404b3",
        ),
    ],
)
def test_slugs_are_readable_and_never_change(text: str, expected: str) -> None:
    """Slugs are partition keys: a release that changed one would orphan its clips."""
    assert slug(text) == expected


@given(LEGAL_TEXTS)
def test_slugs_are_ids(text: str) -> None:
    """Whatever the text, its slug is a legal id."""
    assert is_id(slug(text))


@pytest.mark.parametrize("name", ["", "-a", ".a", "A", "a b", "a/b", "a,b", "é", "a\n", "a" * 101])
def test_ids_that_dagster_pages_would_break_on_are_refused(name: str) -> None:
    """An id is a slug, nothing around it."""
    assert not is_id(name)
