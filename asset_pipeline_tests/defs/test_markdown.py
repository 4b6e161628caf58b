"""Text that somebody else wrote shows in Markdown as it is: no link, no picture, no HTML."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from asset_pipeline.defs.markdown import bullets, code, picture, shown, table

_PARSER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])

# What pages of Dagster make a link of in text, without any markup.
_LINKED = re.compile(r"https?://|www\.|\w@\w", re.IGNORECASE)

HOSTILE = [
    "![x](https://evil.example/p.png)",
    "[click](javascript:alert(1))",
    "<img src=https://evil.example/p.png>",
    "<a href='https://evil.example'>x</a>",
    "<https://evil.example>",
    "https://evil.example/a_b*c*",
    "WWW.evil.example",
    "mail me@evil.example now",
    "[x]: https://evil.example\n\n[x]",
    "| a | b |\n|---|---|\n| c | d |",
    "`code` ``x` and \\| \\` \\[x](javascript:1)",
    "# heading",
    "- item",
    "1. item",
    "> quote",
    "***",
    "&lt;img src=x onerror=alert(1)&gt;",
    "~~gone~~ **bold** _it_",
    "```\n![x](https://evil.example)\n```",
    "<!-- x --> <script>alert(1)</script>",
    "\x1b[31m[red]",
    "![x][y] ^[note](data:text/html,x)",
    "https://evil.example/`![x](https://evil.example/p.png)",
    "www.`evil`.example|x",
]


def _tokens(text: str) -> Iterator[Token]:
    for token in _PARSER.parse(text):
        yield token
        yield from token.children or ()


def _assert_inert(text: str, allowed: Sequence[str]) -> None:
    for token in _tokens(text):
        assert token.type in {"inline", "text", "code_inline", "text_special", *allowed}, token
        if token.type == "text":
            assert not _LINKED.search(token.content), token.content


_LIST = ("bullet_list_open", "bullet_list_close", "list_item_open", "list_item_close")
_PARAGRAPH = ("paragraph_open", "paragraph_close")
_TABLE = tuple(
    f"{part}_{end}"
    for part in ("table", "thead", "tbody", "tr", "th", "td")
    for end in ("open", "close")
)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_inert(text: str) -> None:
    """In a line, a list or a table cell nothing but text comes of it."""
    _assert_inert(f"Before: {shown(text)}", _PARAGRAPH)
    _assert_inert(bullets([text, text]), _LIST + _PARAGRAPH)
    made = table(("a", "b"), [(shown(text), code(text)), ("x", "y")])
    _assert_inert(made, _TABLE)
    rows = [token for token in _tokens(made) if token.type == "td_open"]
    assert len(rows) == 4


@given(
    st.lists(st.sampled_from([*HOSTILE, "`", "|", "\\", "[", "](", "<", "https://", "a@b", " "]))
)
def test_no_mixture_gets_out(parts: list[str]) -> None:
    """Neither does any mixture of these."""
    text = "".join(parts)
    made = table(("a", "b"), [(shown(text), code(text)), ("x", "y")])
    _assert_inert(made, _TABLE)
    assert sum(token.type == "td_open" for token in _tokens(made)) == 4
    _assert_inert(bullets([text]), _LIST + _PARAGRAPH)


@pytest.mark.parametrize(
    "text",
    ["will-cover", "black-forest-labs/flux-schnell", "1.3 s wait (HTTP 500)", "bad_output"],
)
def test_plain_words_stay_as_they_are(text: str) -> None:
    """Ids, models and ordinary sentences are not littered with backslashes."""
    assert shown(text) == text


def test_a_picture_of_our_own_is_shown() -> None:
    """Its bytes are in the text; its name can't end it."""
    images = [
        t for t in _tokens(picture(b"RIFF", "x](https://evil.example)![")) if t.type == "image"
    ]
    assert [image.attrs["src"] for image in images] == ["data:image/webp;base64,UklGRg=="]
