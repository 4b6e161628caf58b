"""Collection files with an entry that is no YAML: the others go on."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from asset_pipeline.catalog.reader import load_catalog
from asset_pipeline.prompts.library import Library, load_library

CATALOG = load_catalog(None)
HEAD = "defaults: {model: black-forest-labs/flux-schnell}\nprompts:\n"


def load(folder: Path, entries: str, head: str = HEAD) -> Library:
    """Return the library of one file."""
    (folder / "images").mkdir()
    (folder / "images" / "a.yaml").write_text(head + entries)
    return load_library(folder, CATALOG, on=date(2026, 11, 1))


@pytest.mark.parametrize(
    ("bad", "hint"),
    [
        ("text: Scene 4: the fox", "text: 'Scene 4: the fox'"),
        ("text: @ the market", "text: '@ the market'"),
        ("text: %d foxes", "text: '%d foxes'"),
        ("text: *the* fox", "text: '*the* fox'"),
        ("text: [a fox", "text: '[a fox'"),
        ("text: {a fox", "text: '{a fox'"),
        ("text: `a fox`", "text: '`a fox`'"),
        ('text: "a fox" runs', "text: "),
        ('text: "a fox', "text: 'a fox'"),
        ("text: | a fox", "text: '| a fox'"),
        ("text: a fox\n\ttags: [x]", ""),
        ("text: a fox\n   tags: [x]", ""),
    ],
)
def test_a_broken_entry_hides_no_other(tmp_path: Path, bad: str, hint: str) -> None:
    """The others are usable, and the sentence says where it is and what to write."""
    library = load(
        tmp_path,
        f"  - id: one\n    text: First\n  - id: bad\n    {bad}\n  - id: two\n    text: Second\n",
    )
    assert [prompt_id for _, prompt_id in library.prompts] == ["one", "two"]
    assert len(library.problems) == 1
    problem = library.problems[0]
    assert problem.prompt_id == "bad"
    assert problem.line in {5, 6, 7}
    assert hint in problem.hint


def test_several_broken_entries_each_have_their_line(tmp_path: Path) -> None:
    """Also an entry whose dash is out of line, and ids of broken ones are taken all the same."""
    library = load(
        tmp_path,
        "  - id: a\n    text: x: y\n  - id: b\n    text: Fine\n   - id: c\n     text: Fine\n"
        "  - id: d\n    text: @\n  - id: a\n    text: Again\n",
    )
    assert [prompt_id for _, prompt_id in library.prompts] == ["b"]
    found = {(problem.line, problem.prompt_id) for problem in library.problems}
    assert found == {(4, "a"), (7, "c"), (10, "d"), (11, "a")}


@pytest.mark.parametrize(
    ("text", "usable"),
    [
        ("A fox #2 in the snow", False),
        ("A fox # the hero", False),
        ("'A fox #2'", True),
        ("'A fox'  # the hero", True),
        ("A fox#2", True),
    ],
)
def test_a_comment_never_cuts_a_text(tmp_path: Path, text: str, usable: bool) -> None:  # noqa: FBT001
    """What would be paid for cut is refused, with what to write instead."""
    library = load(tmp_path, f"  - id: one\n    text: {text}\n  - id: two # fine\n    text: B\n")
    assert (("image", "one") in library.prompts) is usable
    assert ("image", "two") in library.prompts
    if not usable:
        assert "cuts the text there" in library.problems[0].message
        assert f"'{text}'" in library.problems[0].hint
        assert "quotes" in library.problems[0].hint


def test_a_broken_head_is_told_as_before(tmp_path: Path) -> None:
    """What is wrong above the prompts concerns them all."""
    library = load(tmp_path, "  - id: one\n    text: A\n", "defaults: {model: [\nprompts:\n")
    assert not library.prompts
    assert "not YAML" in library.problems[0].message


def test_a_cut_default_leaves_alone_who_does_without_it(tmp_path: Path) -> None:
    """A comment behind the shared style refuses the prompts that have none of their own."""
    head = (
        "defaults:\n  model: black-forest-labs/flux-schnell\n  style: navy # the brand\nprompts:\n"
    )
    library = load(tmp_path, "  - {id: one, text: A}\n  - {id: two, text: B, style: plain}\n", head)
    assert [prompt_id for _, prompt_id in library.prompts] == ["two"]
    (problem,) = library.problems
    assert (problem.line, problem.field) == (3, "defaults.style")


@pytest.mark.parametrize(
    ("lines", "hint"),
    [
        ("    text: A fox that\n      goes on: here\n", "as a block, below 'text: |'"),
        ("\ttext: A fox\n", "Indent with spaces"),
    ],
)
def test_the_advice_fits_what_is_written(tmp_path: Path, lines: str, hint: str) -> None:
    """A text of several lines, and a tab, want another remedy than quotes."""
    library = load(tmp_path, f"  - id: one\n{lines}  - id: two\n    text: B\n")
    assert [prompt_id for _, prompt_id in library.prompts] == ["two"]
    assert hint in library.problems[0].hint
