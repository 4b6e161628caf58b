"""JSON of others: what is too deep or too wide is refused before it takes memory."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asset_pipeline.foreign.document import (
    MAX_DEPTH,
    MAX_VALUES,
    UnboundedDocumentError,
    read_json,
)

MB = 1024 * 1024

BOMBS = {
    "empty lists": b"[" + b"[]," * (10 * MB) + b"[]]",
    "empty texts": b"[" + b'"",' * (10 * MB) + b'""]',
    "digits": b"[" + b"1," * (15 * MB) + b"1]",
    "objects in objects": b"[" + b'{"a":{}},' * (3 * MB) + b"1]",
    "deep lists": b"[" * MB,
    "deep objects": b'{"a":' * MB,
    "deep and closed": b"[" * 500 + b"]" * 500,
}


@pytest.mark.parametrize("body", BOMBS.values(), ids=BOMBS.keys())
def test_a_bomb_is_refused_soon_and_unparsed(body: bytes) -> None:
    """Thirty megabytes of it took 0.9 GB; they are counted before they are parsed."""
    began = time.monotonic()
    with pytest.raises(UnboundedDocumentError):
        read_json(body)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    "body",
    [b'"' + b"\\a" * (5 * MB), b'"' + b'\\"' * (5 * MB), b'["' + b"[{," * MB + b"\\"],
    ids=["escapes", "quotes", "brackets"],
)
def test_a_text_without_an_end_is_looked_at_once(body: bytes) -> None:
    """No text makes the look at a document slower than its length."""
    began = time.monotonic()
    with pytest.raises(ValueError):  # noqa: PT011 -- the library has many words for it
        read_json(body)
    assert time.monotonic() - began < 10


def test_commas_and_brackets_in_texts_do_not_count() -> None:
    """A long prompt is one value."""
    document = {"prompt": "[{," * MAX_VALUES, "quoted": '\\"[' * 100}
    assert read_json(json.dumps(document).encode())[0] == document


def test_what_is_within_the_bounds_is_read() -> None:
    """The bounds themselves are still allowed."""
    deep = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert read_json(deep)[0] == json.loads(deep)
    wide = b"[" + b"1," * (MAX_VALUES - 2) + b"1]"
    assert read_json(wide)[0] == [1] * (MAX_VALUES - 1)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=9) | st.dictionaries(st.text(), inner, max_size=9),
    )
)
def test_any_document_is_read_as_it_is(document: object) -> None:
    """The look before changes nothing."""
    assert read_json(json.dumps(document).encode())[0] == document
