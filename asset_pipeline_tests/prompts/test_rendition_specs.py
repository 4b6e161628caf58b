"""The `renditions:` of a collection file."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from pydantic import JsonValue

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.catalog.reader import load_catalog
from asset_pipeline.prompts.library import load_library
from asset_pipeline.prompts.rendition_specs import (
    DEFAULTS,
    AudioRendition,
    ImageRendition,
    read_renditions,
)
from asset_pipeline_tests.prompts.test_spec import PROMPT

COLLECTION = """\
defaults: {model: black-forest-labs/flux-schnell}
renditions:
  web: {format: avif, max_side: 1600, quality: 60}
  print: {format: jpg, max_side: 4096}
prompts:
  - {id: ash, text: An ash tree}
"""


def test_nothing_said_gives_the_defaults_and_empty_gives_none() -> None:
    """Silence means the usual renditions; an empty mapping means that none is wanted."""
    for kind in Kind:
        assert read_renditions(kind, None) == (DEFAULTS[kind], [])
        assert read_renditions(kind, {}) == ({}, [])


def test_each_kind_has_its_own_settings() -> None:
    """Pictures have a size and a quality, sounds a loudness and a bound for their peaks."""
    image, wrong = read_renditions(Kind.IMAGE, {"web": {"format": "avif", "max_side": 800}})
    assert (image, wrong) == ({"web": ImageRendition(format="avif", max_side=800)}, [])
    written: dict[str, JsonValue] = {"web": {"format": "opus", "loudness_lufs": -23}}
    audio, wrong = read_renditions(Kind.AUDIO, written)
    assert wrong == []
    assert audio == {"web": AudioRendition(format="opus", loudness_lufs=-23.0)}


@pytest.mark.parametrize(
    ("kind", "name", "setting", "where", "message"),
    [
        (Kind.IMAGE, "Web", {"format": "webp", "max_side": 9}, ("Web",), "no name of a rendition"),
        (Kind.IMAGE, "web", {"format": "gif", "max_side": 64}, ("web", "format"), "'webp', 'avif'"),
        (Kind.IMAGE, "web", {"format": "webp"}, ("web", "max_side"), "it is missing."),
        (Kind.IMAGE, "web", {"format": "webp", "max_side": 1}, ("web", "max_side"), "16"),
        (Kind.IMAGE, "web", {"format": "webp", "max_side": 64, "lufs": 1}, ("web", "lufs"), "no"),
        (Kind.AUDIO, "web", {"format": "webp"}, ("web", "format"), "'mp3', 'opus'"),
        (Kind.AUDIO, "web", {"format": "mp3", "true_peak_dbtp": 3}, ("web", "true_peak_dbtp"), "0"),
        (Kind.AUDIO, "web", 5, ("web",), "mapping"),
    ],
)
def test_what_is_wrong_is_said_at_its_place(
    kind: Kind, name: str, setting: JsonValue, where: tuple[str, ...], message: str
) -> None:
    """A bad setting is named with its field and a sentence, and the others are still read."""
    other: JsonValue = (
        {"format": "jpg", "max_side": 64} if kind is Kind.IMAGE else {"format": "wav"}
    )
    read, wrong = read_renditions(kind, {name: setting, "other": other})
    assert [place for place, _, _ in wrong] == [where]
    assert message in wrong[0][1]
    assert list(read) == ["other"]


def test_a_prompt_has_its_collections_renditions(tmp_path: Path) -> None:
    """What the file says reaches each of its prompts; a mistake names the file and the line."""
    (tmp_path / "images").mkdir()
    path = tmp_path / "images" / "trees.yaml"
    path.write_text(COLLECTION)
    library = load_library(tmp_path, load_catalog(None))
    prompt = library.prompts[Kind.IMAGE, "ash"]
    assert prompt.renditions["web"] == ImageRendition(format="avif", max_side=1600, quality=60)
    path.write_text(COLLECTION.replace("avif", "tiff"))
    library = load_library(tmp_path, load_catalog(None))
    assert not library.prompts
    (problem,) = library.problems
    assert (problem.line, problem.field) == (3, "renditions.web.format")


def test_renditions_do_not_make_clips_stale() -> None:
    """What is paid for does not depend on what is derived from it for nothing."""
    changed = dataclasses.replace(PROMPT, renditions=DEFAULTS[Kind.IMAGE])
    assert changed.prompt_hash == PROMPT.prompt_hash


def test_a_recipe_is_all_that_decides_a_file() -> None:
    """Equal settings have equal recipes and different ones different: the cache rests on it."""
    settings = [
        ImageRendition(format="webp", max_side=256),
        ImageRendition(format="avif", max_side=256),
        ImageRendition(format="webp", max_side=257),
        ImageRendition(format="webp", max_side=256, quality=81),
        AudioRendition(format="mp3"),
        AudioRendition(format="flac"),
        AudioRendition(format="mp3", loudness_lufs=-16.5),
        AudioRendition(format="mp3", true_peak_dbtp=-1.5),
    ]
    assert len({setting.recipe for setting in settings}) == len(settings)
    assert ImageRendition(format="webp", max_side=256).recipe == settings[0].recipe
