"""Choosing prompts."""

from __future__ import annotations

from pathlib import Path

import pytest

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.catalog.reader import load_catalog
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.prompts.library import Library, load_library
from asset_pipeline.prompts.selection import Selection, select


@pytest.fixture
def library(tmp_path: Path) -> Library:
    """Return four good prompts in two collections, and a bad one."""
    for folder, model in (("images", "black-forest-labs/flux-dev"), ("audio", "jaaari/kokoro-82m")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{folder}-kit.yaml").write_text(
            f"defaults: {{model: {model}}}\nprompts:\n"
            "  - {id: cover, text: x, tags: [front, big]}\n"
            f"  - {{id: {folder}-close, text: x, tags: [back]}}\n"
        )
    (tmp_path / "images" / "bad.yaml").write_text("prompts:\n  - {id: broken, text: x}\n")
    return load_library(tmp_path, load_catalog(None))


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (Selection(), ["cover", "images-close", "cover", "audio-close"]),
        (Selection(kinds=frozenset({Kind.AUDIO})), ["cover", "audio-close"]),
        (Selection(collections=frozenset({"images-kit"})), ["cover", "images-close"]),
        (Selection(prompt_ids=frozenset({"cover"})), ["cover", "cover"]),
        (Selection(tags=frozenset({"big", "back"}), limit=2), ["cover", "images-close"]),
        (Selection(kinds=frozenset({Kind.IMAGE}), tags=frozenset({"back"})), ["images-close"]),
        (Selection(kinds=frozenset({Kind.IMAGE}), prompt_ids=frozenset({"audio-close"})), []),
    ],
)
def test_fields_narrow_and_values_widen(
    library: Library, selection: Selection, expected: list[str]
) -> None:
    """A prompt is chosen when each field that is set has a value it matches, in order."""
    assert [prompt.prompt_id for prompt in select(library, selection)] == expected


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        (Selection(collections=frozenset({"image-kit"})), "Did you mean images-kit"),
        (Selection(tags=frozenset({"frnt"})), "Did you mean front"),
        (Selection(prompt_ids=frozenset({"covr"})), "Did you mean cover"),
        (Selection(prompt_ids=frozenset({"zzz"})), "Known: audio-close, cover"),
        (Selection(prompt_ids=frozenset({"broken"})), r"bad\.yaml:2: \[broken\] model: "),
        (Selection(limit=0), "at least 1"),
    ],
)
def test_a_name_that_is_not_there_is_an_error(
    library: Library, selection: Selection, message: str
) -> None:
    """A misspelt name is told, not silently nothing; a bad prompt's problem is told again."""
    with pytest.raises(AssetPipelineError, match=message):
        select(library, selection)
