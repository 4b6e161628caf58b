from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.custody.export_names import (
    DEFAULT_TEMPLATE,
    NamingError,
    Template,
    named,
    safe_segment,
)
from asset_pipeline.custody.export_targets import BucketTarget, FolderTarget
from asset_pipeline.files import UnsafePathError
from asset_pipeline.stores.local import LocalStore
from asset_pipeline.stores.protocol import StoreError, check_key
from asset_pipeline_tests.warehouse.test_gallery import clip

HOSTILE = st.text(st.sampled_from("ab./\\~%:\0\n\u202e =-_éß{}!'\"") | st.characters(), max_size=40)
FIELDS = ["collection", "prompt_id", "variant", "kind", "model", "day", "clip_id", "sha256", "ext"]
TEMPLATES = st.lists(
    st.sampled_from([f"{{{name}}}" for name in FIELDS] + ["..", "/", "~", "\\", "{variant:03}"])
    | HOSTILE,
    min_size=1,
    max_size=6,
).map("".join)


@settings(max_examples=150)
@given(collection=HOSTILE, prompt_id=HOSTILE, model=HOSTILE, ext=HOSTILE)
@example(collection="../../etc", prompt_id="passwd", model="/", ext="..")
@example(collection="..", prompt_id="", model=".", ext="")
@example(collection="CON", prompt_id="aux", model="x/nul", ext="webp")
def test_any_name_is_a_safe_part_of_a_path(
    collection: str, prompt_id: str, model: str, ext: str
) -> None:
    """Whatever collections, prompts and files are called, the path stays inside, in two parts."""
    hostile = clip(
        collection=collection, prompt_id=prompt_id, model=model, object_key=f"image/ab/x.{ext}"
    )
    (found,) = named([hostile], Template.parse(DEFAULT_TEMPLATE))
    check_key(found.path)
    folder, name = found.path.split("/")
    assert not folder.startswith(".")
    assert not name.startswith(".")


@settings(max_examples=200)
@given(template=TEMPLATES, collection=HOSTILE)
@example(template="/etc/{prompt_id}", collection="x")
@example(template="../{prompt_id}", collection="x")
@example(template="{collection.__class__}", collection="x")
@example(template="{collection[0]}", collection="x")
@example(template="{collection!r}", collection="x")
@example(template="{prompt_id}/../../x", collection="x")
@example(template="C:\\{prompt_id}", collection="x")
@example(template="{prompt_id:>999999999}", collection="x")
@example(template="manifest.{ext}", collection="x")
def test_any_template_is_refused_or_safe(template: str, collection: str) -> None:
    """A template either says what is wrong with it, or makes a path that every target takes."""
    try:
        (found,) = named([clip(collection=collection)], Template.parse(template))
    except NamingError:
        return
    check_key(found.path)


@settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(path=HOSTILE, collection=HOSTILE)
@example(path="../outside", collection="x")
@example(path="/tmp/outside", collection="x")
@example(path="a/../../outside", collection="x")
def test_nothing_is_written_outside_of_a_target(path: str, collection: str, tmp_path: Path) -> None:
    """Even a path that no template makes is refused, or lands below the target's own folder."""
    base = Path(tempfile.mkdtemp(dir=tmp_path))
    source = base / "source"
    source.write_bytes(b"x")
    (made,) = named([clip(collection=collection)], Template.parse(DEFAULT_TEMPLATE))
    for target in FolderTarget(base / "out"), BucketTarget(LocalStore(base / "bucket")):
        for each in (path, made.path):
            try:
                target.write(each, source, sha256=_SHA256_OF_X, content_type="text/plain")
            except (StoreError, UnsafePathError):
                assert each is path
    assert {entry.name for entry in base.iterdir()} <= {"source", "out", "bucket"}
    assert all(found.resolve().is_relative_to(base) for found in base.rglob("*"))
    assert {entry.parent for entry in tmp_path.iterdir()} == {tmp_path}


_SHA256_OF_X = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"


def test_links_do_not_lead_out_of_a_folder(tmp_path: Path) -> None:
    """A link that stands in the target folder is not followed out of it."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "kit").symlink_to(outside)
    source = tmp_path / "source"
    source.write_bytes(b"x")
    with pytest.raises(UnsafePathError):
        FolderTarget(tmp_path / "out").write(
            "kit/a.webp", source, sha256=_SHA256_OF_X, content_type="text/plain"
        )
    assert list(outside.iterdir()) == []


def test_the_default_names_are_for_people() -> None:
    """Accents are taken off, spaces become dashes, and the words stay."""
    (found,) = named([clip(collection="Été à Köln 2026")], Template.parse(DEFAULT_TEMPLATE))
    assert found.path == "Ete-a-Koln-2026/cover-1.webp"
    assert safe_segment("夏") == "_"


def test_every_field_can_be_used() -> None:
    """All fields have a value, and variants can be padded."""
    template = Template.parse("{kind}/{model}/{day}-{variant:03}-{clip_id}-{sha256}.{ext}")
    (found,) = named([clip()], template)
    assert found.path == f"image/flux-schnell/2026-11-21-001-clip-{'ab' * 32}.webp"


@pytest.mark.parametrize(
    "template",
    [
        "{nothing}",
        "fixed.webp",
        "{",
        "{}",
        "{prompt_id:x}",
        "{variant:0999}",
        "",
        "{prompt_id} {ext}",
    ],
)
def test_wrong_templates_are_explained(template: str) -> None:
    """The error names what can be used."""
    with pytest.raises(NamingError) as raised:
        Template.parse(template)
    assert raised.value.hint


def test_names_that_clash_are_refused_before_anything_is_written() -> None:
    """Equal names, names that differ in capitals, and a name that is a folder of another's."""
    two = [clip(), clip(kind=Kind.AUDIO, variant=2)]
    with pytest.raises(NamingError, match="image/cover, variant 1 and audio/cover, variant 2"):
        named(two, Template.parse("{prompt_id}.{ext}"))
    capitals = [clip(collection="Kit"), replace(clip(collection="kit"), variant=2)]
    with pytest.raises(NamingError):
        named(capitals, Template.parse("{collection}.{ext}"))
    # One template makes a path of one part for one clip, and of two for another.
    nested = [clip(prompt_id="a"), clip(prompt_id="b", variant=2)]
    paths = {"a": "x", "b": "x/y"}
    with pytest.raises(NamingError, match="can't both"):
        named(nested, _Chosen("", paths))


@dataclass(frozen=True)
class _Chosen(Template):
    """Gives each prompt the path that a test wants."""

    paths: Mapping[str, str]

    def fill(self, values: Mapping[str, str | int]) -> str:
        return self.paths[str(values["prompt_id"])]


def test_the_names_of_the_manifest_are_taken() -> None:
    """No clip takes the place of an export's own files, in capitals or not."""
    with pytest.raises(NamingError, match="own file"):
        Template("{prompt_id}").fill({"prompt_id": "Manifest.JSON"})
    assert Template("{prompt_id}").fill({"prompt_id": "con.webp"}) == "_con.webp"
