"""Editing a prompt in its file: nothing else changes, and nothing that changed is overwritten."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from asset_pipeline.prompts.file_edit import (
    PromptEdit,
    PromptFileChangedError,
    PromptFileEditError,
    read_source,
    write_edit,
)

NAME = "images/kit.yaml"
PLAIN = """\
# The kit of the autumn campaign.
collection: kit
defaults: {model: black-forest-labs/flux-schnell, variants: 2}  # two of each

prompts:
  - id: cover        # the first page
    text: A lighthouse at dusk
    inputs: {num_inference_steps: 4, go_fast: true}
  # Not in use before May.
  - id: back
    text: 'It''s a quiet harbour'
    tags: [cover]
"""


def _written(folder: Path, text: str = PLAIN) -> Path:
    path = folder / NAME
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    return path


def _edit(folder: Path, edit: PromptEdit) -> None:
    write_edit(folder, NAME, edit, read_source(folder, NAME, edit.prompt_id).sha256)


def test_one_line_changes_and_comments_stay(tmp_path: Path) -> None:
    """An edited text changes its own line and no other, comments, order and style included."""
    path = _written(tmp_path)
    _edit(tmp_path, PromptEdit("cover", text="A lighthouse: at dawn"))
    before, after = PLAIN.splitlines(), path.read_text(encoding="utf-8").splitlines()
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert changed == [
        ("    text: A lighthouse at dusk", '    text: "A lighthouse: at dawn"'),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "yes",
        "2024",
        "a: b # c",
        "- x",
        "\u201cquoted\u201d & 'single' \"double\"",
        "two\nlines",
        "~",
        "ünïcode 灯台",
    ],
)
def test_any_text_reads_back_as_it_was_given(tmp_path: Path, text: str) -> None:
    """Whatever a person writes is a text afterwards, and the same one."""
    path = _written(tmp_path)
    _edit(tmp_path, PromptEdit("back", text=text))
    found = yaml.safe_load(path.read_text(encoding="utf-8"))["prompts"][1]["text"]
    assert found.strip() == text


def test_inputs_are_set_changed_and_left_out(tmp_path: Path) -> None:
    """The inputs are those that were asked for; true stays true, and is no 1."""
    path = _written(tmp_path)
    _edit(tmp_path, PromptEdit("cover", inputs={"num_inference_steps": 2, "seed": 7}))
    _edit(tmp_path, PromptEdit("back", inputs={"go_fast": True}))
    prompts = yaml.safe_load(path.read_text(encoding="utf-8"))["prompts"]
    assert prompts[0]["inputs"] == {"num_inference_steps": 2, "seed": 7}
    assert prompts[1]["inputs"] == {"go_fast": True}
    _edit(tmp_path, PromptEdit("back", inputs={}))
    assert "inputs" not in yaml.safe_load(path.read_text(encoding="utf-8"))["prompts"][1]
    assert "# Not in use before May." in path.read_text(encoding="utf-8")


def test_a_file_that_changed_is_not_written_to(tmp_path: Path) -> None:
    """Somebody else's change stays as it is."""
    path = _written(tmp_path)
    seen = read_source(tmp_path, NAME, "cover").sha256
    path.write_text(PLAIN.replace("dusk", "noon"), encoding="utf-8")
    with pytest.raises(PromptFileChangedError, match="changed meanwhile"):
        write_edit(tmp_path, NAME, PromptEdit("cover", text="Other"), seen)
    assert path.read_text(encoding="utf-8") == PLAIN.replace("dusk", "noon")


def test_an_edit_that_would_change_another_prompt_is_refused(tmp_path: Path) -> None:
    """What two prompts share by an anchor is not changed for both."""
    shared = PLAIN.replace("inputs: {num", "inputs: &shared {num").replace(
        "    tags: [cover]", "    inputs: *shared"
    )
    path = _written(tmp_path, shared)
    with pytest.raises(PromptFileEditError, match="editor"):
        _edit(tmp_path, PromptEdit("cover", inputs={"num_inference_steps": 1}))
    assert path.read_text(encoding="utf-8") == shared


def test_a_prompt_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    """A prompt that left the file, or a file that is gone, is no traceback."""
    _written(tmp_path)
    with pytest.raises(PromptFileEditError, match="no prompt 'other'"):
        read_source(tmp_path, NAME, "other")
    with pytest.raises(PromptFileEditError):
        read_source(tmp_path, "images/none.yaml", "other")


def test_rights_and_links_stay(tmp_path: Path) -> None:
    """The file keeps who may read it, and a link stays a link."""
    path = _written(tmp_path)
    path.chmod(0o640)
    link = tmp_path / "images" / "linked.yaml"
    link.symlink_to(path)
    seen = read_source(tmp_path, "images/linked.yaml", "cover").sha256
    write_edit(tmp_path, "images/linked.yaml", PromptEdit("cover", text="New"), seen)
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o640
    assert read_source(tmp_path, NAME, "cover").text == "New"
