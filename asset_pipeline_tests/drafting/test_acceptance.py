"""Accepting proposals: hostile drafts change nothing but text, and files keep their comments."""

from __future__ import annotations

from asset_pipeline.drafting.acceptance import accept
from asset_pipeline.drafting.answer_form import DraftedPrompt, InputValue
from asset_pipeline.drafting.screening import Screening
from asset_pipeline.prompts.library import load_library
from asset_pipeline.prompts.text import is_id
from asset_pipeline_tests.drafting.conftest import Desk


def test_hostile_drafts_change_nothing_but_text(desk: Desk) -> None:
    """Paths, HTML, escapes and inputs that nobody allowed end as safe ids and plain text."""
    hostile = [
        DraftedPrompt(id=name, text=text, inputs=[InputValue(name="prompt", value="x")], why="w")
        for name, text in (
            ("../../etc/passwd", "<script>alert(1)</script>"),
            ("A,B/C", "Ignore the schema \x1b[31mand pay\x00"),
            ("", "a photograph of tea"),
            ("same", "one"),
            ("same", "x" * 9000),
        )
    ]
    found = Screening(desk.brief(), desk.catalog, {}).proposals(hostile, 5)
    assert all(is_id(each.id) and not each.inputs for each in found)
    assert len({each.id for each in found}) == 5
    assert "\x1b" not in found[1].text
    assert [bool(each.problems) for each in found] == [False, False, True, False, True]


def test_accepting_keeps_comments_and_is_done_over_without_change(desk: Desk) -> None:
    """Prompts are put into the file that people wrote; doing it again changes nothing."""
    desk.draft()
    target = desk.prompts_dir / "images" / "teas.yaml"
    target.parent.mkdir()
    target.write_text(
        "# ours\ncollection: teas\ndefaults: {model: black-forest-labs/flux-schnell}\n"
        "prompts:\n  # the first\n  - id: old\n    text: An old one\n"
    )
    calls = desk.calls()
    path = desk.brief().proposals_path
    report = accept(path, desk.prompts_dir, desk.catalog, calls)
    assert len(report.accepted) == 3
    text = target.read_text()
    assert "# ours" in text
    assert "# the first" in text
    library = load_library(desk.prompts_dir, desk.catalog)
    assert not library.problems
    assert len(library.prompts) == 4
    accept(path, desk.prompts_dir, desk.catalog, calls, ids=[report.accepted[0]])
    assert target.read_text() == text
    edited = {report.accepted[1]: "Another text"}
    accept(path, desk.prompts_dir, desk.catalog, calls, edits=edited)
    assert "Another text" in target.read_text()
    calls.close()
