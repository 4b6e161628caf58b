"""Sweeps: a matrix comes to the prompts that its axes say, each with its values as fields."""

from __future__ import annotations

from pathlib import Path

import pytest

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.catalog.reader import load_catalog
from asset_pipeline.prompts.library import Library, load_library
from asset_pipeline.prompts.text import is_id

SCHNELL, DEV = "black-forest-labs/flux-schnell", "black-forest-labs/flux-dev"


def read(folder: Path, text: str) -> Library:
    """The library of one collection file on flux-schnell."""
    (folder / "images").mkdir(exist_ok=True)
    file = folder / "images" / "sweep.yaml"
    file.write_text(f"defaults: {{model: {SCHNELL}}}\n{text}", encoding="utf-8")
    return load_library(folder, load_catalog(folder / "config"))


def test_a_matrix_is_variables_times_models_times_seeds(tmp_path: Path) -> None:
    """Two by two by two by two: sixteen prompts, each with text, model, seed and fields."""
    library = read(
        tmp_path,
        "matrix:\n  text: A {stuff} pot in {light}\n"
        "  variables: {stuff: [glass, clay], light: [dawn, dusk]}\n"
        f"  models: [{SCHNELL}, {DEV}]\n  seeds: [1, 2]\n",
    )
    assert library.problems == ()
    prompts = library.of_kind(Kind.IMAGE)
    assert len(prompts) == 16 == len({prompt.prompt_hash for prompt in prompts.values()})
    one = prompts["sweep-clay-dusk-flux-dev-s2"]
    assert (one.text, one.model, one.inputs["seed"]) == ("A clay pot in dusk", DEV, 2)
    assert one.fields == {"stuff": "clay", "light": "dusk", "model": DEV, "seed": 2}
    assert one.axes == ("stuff", "light", "model", "seed")


def test_without_a_text_of_its_own_it_multiplies_the_prompts(tmp_path: Path) -> None:
    """The prompts of the file are templates then, and no prompts themselves."""
    library = read(
        tmp_path,
        "matrix: {variables: {inputs.aspect_ratio: ['1:1', '16:9']}}\n"
        "prompts:\n  - {id: pot, text: A pot, tags: [tea], fields: {sku: 7}}\n"
        "  - {id: cup, text: A cup}\n",
    )
    assert library.problems == ()
    prompts = library.of_kind(Kind.IMAGE)
    assert sorted(prompts) == ["cup-1-1", "cup-16-9", "pot-1-1", "pot-16-9"]
    pot = prompts["pot-16-9"]
    assert pot.inputs == {"aspect_ratio": "16:9"}
    assert (pot.tags, pot.fields["sku"]) == (("tea",), 7)


def test_ids_stay_ids_and_never_meet(tmp_path: Path) -> None:
    """Values that look alike in an id, and long ones, are told apart, the same way every time."""
    values = ["a b", "a-b", "a.b", "../x", "é", "x" * 300, "x" * 301, "<b>", "1,2"]
    text = f"matrix: {{text: 'A {{v}}', variables: {{v: {values!r}}}, seeds: [1, 2]}}\n"
    first, second = read(tmp_path, text), read(tmp_path, text)
    assert len(first.prompts) == 2 * len(values)
    assert all(is_id(name) for _, name in first.prompts)
    assert list(first.prompts) == list(second.prompts)


@pytest.mark.parametrize(
    ("matrix", "said"),
    [
        ("{text: 'A {x}', variables: {y: [1]}}", "no variable 'x'"),
        ("{text: 'A pot', variables: {y: [1, 2]}}", "does not name the variable 'y'"),
        ("{text: 'A {x}', variables: {x: []}}", "is empty"),
        ("{text: 'A {x}', variables: {x: [a, a]}}", "is there twice"),
        ("{text: 'A {x}', variables: {x: [a], seed: [1]}}", "a place of their own"),
        ("{text: 'A {x}', variables: {x: [[a]]}}", "variables"),
        ("{text: 'A pot', seed: [1]}", "no such field"),
        ("{text: 'A pot'}", "nothing varies"),
        ("{text: 'A pot', seeds: [1, 2], models: [no/such]}", "no/such"),
        (f"{{text: 'A pot', seeds: {list(range(5001))}}}", "too many"),
        (
            f"{{text: 'A {{x}}', variables: {{x: {list(range(100))}}}, seeds: {list(range(60))}}}",
            "6,000",
        ),
        ("{seeds: [1]}", "nothing to multiply"),
        ("[1]", "matrix"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, matrix: str, said: str) -> None:
    """A matrix that can't be made makes nothing, and the problem names where and why."""
    library = read(tmp_path, f"matrix: {matrix}\n")
    assert library.prompts == {}
    assert any(said in str(problem) for problem in library.problems), library.problems
    assert all(problem.line == 2 for problem in library.problems)


def test_a_model_without_seeds_takes_none(tmp_path: Path) -> None:
    """All its prompts would be one request, paid for once and shown as several."""
    (tmp_path / "audio").mkdir()
    (tmp_path / "audio" / "voices.yaml").write_text(
        "defaults: {model: jaaari/kokoro-82m}\nmatrix: {text: Hello, seeds: [1, 2]}\n"
    )
    library = load_library(tmp_path, load_catalog(tmp_path / "config"))
    assert library.prompts == {}
    assert "takes no seed" in str(library.problems[0])


def test_a_prompt_of_another_file_may_not_have_the_id_of_a_cell(tmp_path: Path) -> None:
    """Ids of a sweep are ids like others: the second claim to one is refused."""
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "zoo.yaml").write_text(
        f"defaults: {{model: {SCHNELL}}}\nprompts: [{{id: sweep-s1, text: Mine}}]\n"
    )
    library = read(tmp_path, "matrix: {text: A pot, seeds: [1, 2]}\n")
    assert len(library.prompts) == 2
    assert "taken by" in str(library.problems[0])
