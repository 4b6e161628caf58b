"""Generic prompts: a collection's consent to another picture than was asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.catalog.reader import load_catalog
from asset_pipeline.prompts.library import Library, load_library

CATALOG = load_catalog(None)


def _library(tmp_path: Path, **fields: Any) -> Library:  # noqa: ANN401 -- YAML
    folder = tmp_path / "prompts" / "images"
    folder.mkdir(parents=True, exist_ok=True)
    document = {
        "defaults": {"model": "black-forest-labs/flux-schnell"},
        "prompts": [{"id": "cover", "text": "A lighthouse"}],
        **fields,
    }
    (folder / "kit.yaml").write_text(yaml.safe_dump(document))
    return load_library(tmp_path / "prompts", CATALOG)


def test_without_a_word_there_are_none(tmp_path: Path) -> None:
    """Consent has to be given."""
    assert _library(tmp_path).prompts[Kind.IMAGE, "cover"].generic_prompts == ()


def test_a_prompt_carries_those_of_its_collection(tmp_path: Path) -> None:
    """Cleaned as every text is; they make no clip stale, since they decide none yet."""
    given = ["  A calm abstract background ", "A plain paper texture"]
    prompt = _library(tmp_path, generic_prompts=given).prompts[Kind.IMAGE, "cover"]
    assert prompt.generic_prompts == ("A calm abstract background", "A plain paper texture")
    assert prompt.prompt_hash == replace(prompt, generic_prompts=()).prompt_hash


def test_a_wrong_one_is_reported_at_its_line(tmp_path: Path) -> None:
    """An empty text, or one too long, is found before a failure needs it."""
    library = _library(tmp_path, generic_prompts=["Fine", " ", "x" * 2001])
    fields = {problem.field: problem.message for problem in library.problems}
    assert fields == {
        "generic_prompts.1": "it is empty.",
        "generic_prompts.2": "it has 2,001 characters; at most 2,000 are allowed.",
    }
    assert all(problem.line for problem in library.problems)
    (problem,) = _library(tmp_path, generic_prompts="A texture").problems
    assert (problem.field, problem.message) == ("generic_prompts", "it must be a list.")
