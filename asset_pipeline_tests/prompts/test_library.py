"""A folder of collection files to prompts and problems."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.catalog.reader import load_catalog
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.prompts.library import Library, load_library
from asset_pipeline.prompts.spec import Prompt

CATALOG = load_catalog(None)
DAY = date(2026, 11, 1)
HEAD = "defaults: {model: black-forest-labs/flux-schnell}\nprompts:\n"
GOOD = "  - {id: good, text: A lake}\n"

Load = Callable[..., Library]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Return a loader of a prompts folder that is given as texts by file name."""
    folder = tmp_path / "prompts"

    def loader(**texts: str | bytes) -> Library:
        for name, text in texts.items():
            kind, stem = name.split("__")
            path = folder / kind / f"{stem}.yaml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_library(folder, CATALOG, on=DAY)

    return loader


def only(library: Library) -> Prompt:
    """Return the one prompt of a library without problems."""
    assert not library.problems
    [prompt] = library.prompts.values()
    return prompt


def test_a_prompt_takes_what_it_does_not_say_from_the_defaults(load: Load) -> None:
    """Model, variants, style, inputs and tags come from the defaults, under the prompt's own."""
    library = load(
        images__kit=(
            "collection: kit\n"
            "defaults:\n"
            "  model: black-forest-labs/flux-schnell\n"
            "  variants: 2\n"
            "  style: ink\n"
            "  inputs: {aspect_ratio: 16:9, seed: 1}\n"
            "  tags: [a, b]\n"
            "prompts:\n"
            "  - id: plain\n"
            "    text: A lake\n"
            "  - id: own\n"
            "    text: A hill\n"
            "    model: black-forest-labs/flux-dev\n"
            "    variants: 1\n"
            "    style: ''\n"
            "    inputs: {seed: 2, guidance: 4}\n"
            "    tags: [b, c]\n"
        )
    )
    plain, own = library.of_kind(Kind.IMAGE).values()
    assert (plain.collection, plain.path, plain.variants) == ("kit", "images/kit.yaml", 2)
    assert plain.full_text == "A lake, ink"
    assert plain.inputs == {"aspect_ratio": "16:9", "seed": 1}
    assert plain.tags == ("a", "b")
    assert (own.model, own.variants) == ("black-forest-labs/flux-dev", 1)
    assert own.full_text == "A hill"
    assert own.inputs == {"aspect_ratio": "16:9", "seed": 2, "guidance": 4}
    assert own.tags == ("a", "b", "c")


def test_default_inputs_go_to_the_models_that_have_them(load: Load) -> None:
    """A model without such an input does without it; one that has it checks its value."""
    library = load(
        images__kit=(
            "defaults:\n"
            "  model: black-forest-labs/flux-schnell\n"
            '  inputs: {megapixels: "0.25", aspect_ratio: "21:9"}\n'
            "prompts:\n"
            "  - {id: pro, text: x, model: black-forest-labs/flux-1.1-pro,"
            ' inputs: {aspect_ratio: "1:1"}}\n'
            "  - {id: wide, text: x, model: black-forest-labs/flux-1.1-pro}\n"
        )
    )
    assert library.prompts[Kind.IMAGE, "pro"].inputs == {"aspect_ratio": "1:1"}
    [problem] = library.problems
    assert (problem.prompt_id, problem.field, problem.line) == ("wide", "inputs.aspect_ratio", 6)
    assert "comes from the defaults" in problem.hint


def test_files_are_read_in_order_and_hidden_ones_are_not(load: Load, tmp_path: Path) -> None:
    """Prompts come sorted by file, then as written; hidden files are passed over."""
    load(images__b=HEAD + "  - {id: z, text: x}\n  - {id: y, text: x}\n")
    images = tmp_path / "prompts" / "images"
    (images / "a").mkdir()
    (images / "a" / "deep.yml").write_text(HEAD + "  - {id: deep, text: x}\n")
    (images / ".draft.yaml").write_text("nonsense")
    (images / "notes.txt").write_text("nonsense")
    library = load()
    assert [prompt_id for _, prompt_id in library.prompts] == ["deep", "z", "y"]
    assert not library.problems
    assert library.prompts[Kind.IMAGE, "deep"].collection == "deep"


@pytest.mark.parametrize(
    ("entry", "field", "message"),
    [
        ("{id: Will Cover, text: x}", "id", "small letters"),
        ("{id: a/b, text: x}", "id", "not an id"),
        (f"{{id: {'a' * 101}, text: x}}", "id", "not an id"),
        ("{text: A lake at dusk}", "id", "such as a-lake-at-dusk"),
        ("{id: 7, text: x}", "id", "must be text"),
        ("{id: bad}", "text", "missing"),
        ("{id: bad, text: 1984}", "text", "must be text"),
        ("{id: bad, text: '  '}", "text", "empty"),
        ('{id: bad, text: "nul \\0"}', "text", "control character"),
        ("{id: bad, text: raw \x07 bell}", "text", "control character"),
        (f"{{id: bad, text: {'x' * 2001}}}", "text", "2,001 characters; at most 2,000"),
        (f"{{id: bad, text: {'x' * 1999}, style: ab}}", "text", "2,003 characters with its style"),
        ("{id: bad, text: x, tag: [a]}", "tag", "Did you mean tags?"),
        ("{id: bad, text: x, tags: a}", "tags", "must be a list"),
        ("{id: bad, text: x, tags: ['']}", "tags", "empty"),
        ("{id: bad, text: x, variants: 9, inputs: {seed: '7'}}", "inputs.seed", "whole number"),
        ("{id: bad, text: x, variants: 0}", "variants", "greater than or equal to 1"),
        ("{id: bad, text: x, variants: '2'}", "variants", "whole number"),
        ('{id: bad, text: x, style: "\\e"}', "style", "control character"),
        ("{id: bad, text: x, model: flux-dve}", "model", "black-forest-labs/flux-dev"),
        ("{id: bad, text: x, model: stability-ai/sdxl}", "model", "use black-forest-labs/flux"),
        ("{id: bad, text: x, model: jaaari/kokoro-82m}", "model", "makes audio"),
        ("{id: bad, text: x, inputs: {aspct_ratio: 1:1}}", "inputs.aspct_ratio", "aspect_ratio"),
        ("{id: bad, text: x, inputs: {num_outputs: 4}}", "inputs.num_outputs", "always 1"),
        ("{id: bad, text: x, reference: a.png}", "reference", "takes no reference"),
        ("{id: bad, text: x, text: y}", "text", "given twice"),
        ("{id: bad, text: &a x}", "text", "Anchors"),
        ("just a text", None, "mapping of fields"),
    ],
)
def test_a_bad_prompt_is_named_and_hides_no_other(
    load: Load, entry: str, field: str | None, message: str
) -> None:
    """The problem has file, line, field and cause; the prompts around it stay usable."""
    library = load(images__kit=HEAD + GOOD + f"  - {entry}\n" + "  - {id: last, text: x}\n")
    assert [prompt_id for _, prompt_id in library.prompts] == ["good", "last"]
    [problem] = library.problems
    assert (problem.path, problem.line, problem.field) == ("prompts/images/kit.yaml", 4, field)
    assert message in str(problem)


def test_variants_of_a_model_without_a_seed_are_refused_at_their_line(load: Load) -> None:
    """They would be one request, paid for several times; the others of the file go on."""
    text = (
        "defaults: {model: jaaari/kokoro-82m, variants: 2}\nprompts:\n"
        "  - {id: one, text: Hello, variants: 1}\n  - id: two\n    text: Hello\n"
        "  - id: three\n    text: Hello\n    variants: 3\n"
    )
    library = load(audio__talk=text)
    assert [prompt_id for _, prompt_id in library.prompts] == ["one"]
    places = [(problem.line, problem.field, problem.prompt_id) for problem in library.problems]
    assert places == [(4, "variants", "two"), (8, "variants", "three")]
    assert "comes from the defaults" in str(library.problems[0])
    assert "Write variants: 1" in str(library.problems[1])


def test_all_that_is_wrong_with_a_prompt_is_said_at_once(load: Load) -> None:
    """Problems are collected, each at its own line, so that one edit mends them all."""
    library = load(
        images__kit=HEAD
        + "  - id: Bad\n    text: ''\n    inputs:\n      seed: x\n      num_inference_steps: 9\n"
    )
    found = [(problem.line, problem.field) for problem in library.problems]
    assert found == [
        (3, "id"),
        (4, "text"),
        (6, "inputs.seed"),
        (7, "inputs.num_inference_steps"),
    ]
    assert str(library.problems[2]).startswith("prompts/images/kit.yaml:6: [Bad] inputs.seed: ")


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (b"prompts:\n  - {id: a, text: caf\xe9}\n", 2, "byte 0xe9 at offset 30"),
        ("prompts: [\n", 2, "not YAML"),
        ("", 1, "empty"),
        ("- a\n- b\n", 1, "not a mapping"),
        ("defaults: {}\n", 1, "missing"),
        ("promts: []\nprompts: []\n", 1, "Did you mean prompts"),
        ("prompts: {}\n", 1, "must be a list"),
        ("defaults:\n  modle: x\nprompts: []\n", 2, "Did you mean model?"),
        ("defaults: {model: flux}\nprompts: []\n", 1, "black-forest-labs"),
        ("collection: My Kit\nprompts: []\n", 1, "'My Kit'"),
        ("prompts: []\nprompts: []\n", 2, "given twice"),
        (
            HEAD.replace("}", ",\n  inputs: {inference_steps: 2}}") + "  - {id: a, text: x}\n",
            2,
            "num_inference_steps",
        ),
    ],
)
def test_a_bad_file_spoils_itself_only(
    load: Load, text: str | bytes, line: int, message: str
) -> None:
    """What is wrong for all prompts of a file is said once, and other files are read."""
    library = load(images__bad=text, images__good=HEAD + GOOD)
    assert list(library.prompts) == [(Kind.IMAGE, "good")]
    problem = library.problems[0]
    assert (problem.path, problem.line) == ("prompts/images/bad.yaml", line)
    assert message in "".join(str(each) for each in library.problems)


def test_a_duplicate_id_names_both_places(load: Load) -> None:
    """The second prompt of an id is refused with the place of the first, in any file."""
    library = load(
        images__a=HEAD + GOOD + "  - id: good\n    text: again\n",
        images__b=HEAD + "  - id: b\n    text: x\n  - id: good\n    text: once more\n",
    )
    assert library.prompts[Kind.IMAGE, "good"].text == "A lake"
    assert [(problem.path, problem.line) for problem in library.problems] == [
        ("prompts/images/a.yaml", 4),
        ("prompts/images/b.yaml", 5),
    ]
    for problem in library.problems:
        assert "taken by prompts/images/a.yaml:3" in problem.message


def test_a_bad_prompt_keeps_its_id(load: Load) -> None:
    """A duplicate does not take a bad prompt's place, only to lose it when that one is mended."""
    library = load(images__a=HEAD + "  - {id: good, text: ''}\n", images__b=HEAD + GOOD)
    assert not library.prompts
    assert [problem.field for problem in library.problems] == ["text", "id"]


def test_an_id_may_be_used_once_in_each_kind(load: Load) -> None:
    """Images and audio have partition sets of their own."""
    library = load(
        images__a=HEAD + GOOD,
        audio__a="defaults: {model: jaaari/kokoro-82m}\nprompts:\n" + GOOD,
    )
    assert list(library.prompts) == [(Kind.IMAGE, "good"), (Kind.AUDIO, "good")]
    assert not library.problems


def test_audio_has_no_style(load: Load) -> None:
    """A style would be read aloud, so it is refused where it is written."""
    head = "defaults: {model: jaaari/kokoro-82m}\nprompts:\n"
    library = load(
        audio__own=head + "  - {id: own, text: x, style: calm}\n",
        audio__shared=head.replace("}", ", style: calm}") + "  - {id: shared, text: x}\n",
    )
    assert not library.prompts
    assert [problem.field for problem in library.problems] == ["style", "defaults.style"]


def test_speech_may_be_longer_than_a_picture(load: Load) -> None:
    """The limit for audio is 5,000 characters."""
    head = "defaults: {model: jaaari/kokoro-82m}\nprompts:\n"
    assert len(only(load(audio__a=head + f"  - {{id: a, text: {'x' * 5000}}}")).text) == 5000
    library = load(audio__a=head + f"  - {{id: a, text: {'x' * 5001}}}")
    assert "5,001 characters; at most 5,000" in library.problems[0].message


def test_text_is_normalized(load: Load) -> None:
    """Texts are in NFC, with unix line ends and nothing around them."""
    library = load(images__a=HEAD + '  - {id: a, text: "  cafe\\u0301 \\r\\n bar \\n"}\n')
    assert only(library).text == "caf\u00e9 \n bar"


def test_a_reference_is_hashed_and_stays_inside(load: Load, tmp_path: Path) -> None:
    """A reference is a file of the prompts folder; its bytes are part of the prompt's hash."""
    folder = tmp_path / "prompts"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "a.png").write_bytes(b"picture")
    (tmp_path / "secret.png").write_bytes(b"secret")
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    references = ["refs/a.png", "../secret.png", str(tmp_path / "secret.png"), "link.png", "no.png"]
    entries = "".join(
        f"  - {{id: r{number}, text: x, reference: {reference!r}}}\n"
        for number, reference in enumerate(references)
    )
    library = load(images__a=HEAD.replace("schnell", "dev") + entries)
    [prompt] = library.prompts.values()
    assert prompt.reference_sha256 == hashlib.sha256(b"picture").hexdigest()
    assert [problem.prompt_id for problem in library.problems] == ["r1", "r2", "r3", "r4"]
    assert {problem.field for problem in library.problems} == {"reference"}
    (folder / "refs" / "a.png").write_bytes(b"another")
    assert load().prompts[Kind.IMAGE, "r0"].prompt_hash != prompt.prompt_hash


def test_a_price_must_be_known_on_the_day(tmp_path: Path) -> None:
    """A model whose price is not in force yet is as good as unpriced."""
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.yaml").write_text(HEAD + GOOD)
    assert load_library(tmp_path, CATALOG, on=DAY).prompts
    [problem] = load_library(tmp_path, CATALOG, on=date(2026, 1, 1)).problems
    assert "no price on 2026-01-01" in problem.message


def test_a_misplaced_file_is_reported(load: Load, tmp_path: Path) -> None:
    """A collection beside the folders of the kinds, or in a misspelt one, is spoken of."""
    load(images__a=HEAD + GOOD, image__b=HEAD + GOOD)
    (tmp_path / "prompts" / "c.yaml").write_text(HEAD + GOOD)
    library = load()
    assert list(library.prompts) == [(Kind.IMAGE, "good")]
    assert [str(problem) for problem in library.problems] == [
        f"prompts/{name}: The file is in no folder of a kind, so it is not read. "
        "Move it into images/ or audio/."
        for name in ("c.yaml", "image/b.yaml")
    ]


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    """Where there is no prompts folder, or a file in its place, the setting is named."""
    (tmp_path / "file").touch()
    for name in ("file", "missing"):
        with pytest.raises(AssetPipelineError, match="ASSET_PIPELINE_PROMPTS_DIR"):
            load_library(tmp_path / name, CATALOG)


def test_the_samples_are_good() -> None:
    """The collections that come with the project load without a problem, on today's prices."""
    library = load_library(Path(__file__).parents[2] / "prompts", CATALOG)
    assert library.problems == ()
    assert len(library.of_kind(Kind.IMAGE)) >= 18
    assert len(library.of_kind(Kind.AUDIO)) >= 8
