"""A library that is read again and again: nothing stale, nothing read twice."""

from __future__ import annotations

import os
import time
from datetime import date
from pathlib import Path

import pytest

from asset_pipeline.catalog.reader import load_catalog
from asset_pipeline.prompts import library as library_module
from asset_pipeline.prompts.file_cache import KeptFiles
from asset_pipeline.prompts.library import Library, load_library

CATALOG = load_catalog(None)
DAY = date(2026, 11, 20)
_HEAD = "defaults: {model: black-forest-labs/flux-schnell}\nprompts:\n"


class _Folder:
    """A prompts folder whose every read is counted."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.read: list[str] = []
        self.kept = KeptFiles()
        (root / "images").mkdir()
        real = library_module.read_collection

        def counting(*args: object, name: str, **kwargs: object) -> object:
            self.read.append(Path(name).name)
            return real(*args, name=name, **kwargs)  # type: ignore[arg-type]

        monkeypatch.setattr(library_module, "read_collection", counting)

    def write(self, name: str, body: str, *, seconds_ago: float = 60) -> Path:
        path = self.root / "images" / name
        path.write_text(_HEAD + body)
        self.age(path, seconds_ago)
        return path

    def age(self, path: Path, seconds: float) -> None:
        then = time.time() - seconds
        os.utime(path, (then, then))

    def load(self, day: date = DAY) -> Library:
        self.read.clear()
        return load_library(self.root, CATALOG, on=day, kept=self.kept)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _Folder:
    return _Folder(tmp_path, monkeypatch)


def _texts(library: Library) -> dict[str, str]:
    return {prompt.prompt_id: prompt.text for prompt in library.prompts.values()}


def test_only_the_file_that_changed_is_read(folder: _Folder) -> None:
    """The result is the same as that of reading all of them."""
    folder.write("ash.yaml", "  - {id: ash, text: An ash}\n")
    folder.write("birch.yaml", "  - {id: birch, text: A birch}\n")
    folder.load()
    assert folder.read == ["ash.yaml", "birch.yaml"]
    folder.load()
    assert folder.read == []
    folder.write("birch.yaml", "  - {id: birch, text: A birch at dusk}\n", seconds_ago=30)
    assert _texts(folder.load()) == {"ash": "An ash", "birch": "A birch at dusk"}
    assert folder.read == ["birch.yaml"]
    (folder.root / "images" / "ash.yaml").unlink()
    assert _texts(folder.load()) == {"birch": "A birch at dusk"}


def test_a_file_changed_just_now_is_not_trusted(folder: _Folder) -> None:
    """An edit of the same size within one beat of the disk's clock is seen."""
    path = folder.write("ash.yaml", "  - {id: ash, text: An ash}\n", seconds_ago=0)
    stamp = path.stat().st_mtime
    folder.load()
    path.write_text(_HEAD + "  - {id: ash, text: An elm}\n")
    os.utime(path, (stamp, stamp))
    assert _texts(folder.load()) == {"ash": "An elm"}


def test_a_broken_file_is_read_until_it_is_mended(folder: _Folder) -> None:
    """What is wrong with it may lie in another file."""
    folder.write("ash.yaml", "  - {id: ash}\n")
    assert folder.load().problems
    assert folder.load().problems
    assert folder.read == ["ash.yaml"]


def test_another_reference_file_makes_another_prompt(folder: _Folder) -> None:
    """A prompt's hash covers the file that it refers to."""
    reference = folder.root / "cat.png"
    reference.write_bytes(b"a cat")
    folder.age(reference, 60)
    model = next(model for model in CATALOG.models.values() if model.reference_input)
    (folder.root / "images" / "cat.yaml").write_text(
        f"defaults: {{model: {model.name}}}\n"
        "prompts:\n  - {id: cat, text: The same cat, reference: cat.png}\n"
    )
    folder.age(folder.root / "images" / "cat.yaml", 60)
    (before,) = folder.load().prompts.values()
    folder.load()
    assert folder.read == []
    reference.write_bytes(b"another cat")
    (after,) = folder.load().prompts.values()
    assert after.prompt_hash != before.prompt_hash


def test_prices_that_end_are_noticed(folder: _Folder) -> None:
    """What was read while a model had a price is not kept for a day on which it has none."""
    folder.write("ash.yaml", "  - {id: ash, text: An ash}\n")
    assert folder.load().prompts
    assert not folder.load(date(2026, 1, 1)).prompts


def test_a_file_says_what_is_done_about_its_prompts(folder: _Folder) -> None:
    """`auto` and `prune` are off unless the file says otherwise."""
    folder.write("ash.yaml", "  - {id: ash, text: An ash}\nauto: true\n")
    folder.write("birch.yaml", "  - {id: birch, text: A birch}\nprune: true\n")
    library = folder.load()
    assert {prompt.prompt_id: library.is_auto(prompt) for prompt in library.prompts.values()} == {
        "ash": True,
        "birch": False,
    }
    assert [rules.prune for rules in library.rules.values()] == [False, True]
