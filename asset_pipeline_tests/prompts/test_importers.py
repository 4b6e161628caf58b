"""Tables to collection files."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.catalog.reader import load_catalog
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.prompts.importers import ImportReport, ImportRequest, import_prompts
from asset_pipeline.prompts.library import load_library
from asset_pipeline_tests.prompts.test_text import LEGAL_TEXTS

CATALOG = load_catalog(None)
DAY = date(2026, 11, 1)
SCHNELL = "black-forest-labs/flux-schnell"

Importer = Callable[..., ImportReport]


@pytest.fixture
def importer(tmp_path: Path) -> Importer:
    """Return an import of a text, written to a file of a given name, into tmp_path/prompts."""

    def run(name: str, text: str | bytes, **options: object) -> ImportReport:
        source = tmp_path / name
        source.write_bytes(text if isinstance(text, bytes) else text.encode())
        request = ImportRequest(
            **{"source": source, "kind": Kind.IMAGE, "model": SCHNELL, **options}  # type: ignore[arg-type]
        )
        return import_prompts(request, tmp_path / "prompts", CATALOG, on=DAY)

    return run


def loaded(folder: Path) -> dict[str, str]:
    """Return the texts of a prompts folder by id; there may be no problem in it."""
    library = load_library(folder / "prompts", CATALOG, on=DAY)
    assert library.problems == ()
    return {prompt_id: prompt.text for (_, prompt_id), prompt in library.prompts.items()}


@given(st.lists(LEGAL_TEXTS, min_size=1, max_size=8), st.sampled_from(["csv", "tsv", "jsonl"]))
def test_any_legal_text_survives(texts: list[str], form: str) -> None:
    """A text comes back from table, import, YAML and load as it was, whatever it holds."""
    table = io.StringIO()
    if form == "jsonl":
        table.writelines(json.dumps({"text": text}) + "\n" for text in texts)
    else:
        dialect = csv.excel if form == "csv" else csv.excel_tab
        csv.writer(table, dialect).writerows([["text", "other"], *([text, "x"] for text in texts)])
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, f"table.{form}")
        source.write_text(table.getvalue(), encoding="utf-8", newline="")
        request = ImportRequest(source, Kind.IMAGE, SCHNELL)
        report = import_prompts(request, Path(folder, "prompts"), CATALOG, on=DAY)
        assert report.problems == ()
        assert list(loaded(Path(folder)).values()) == texts
        standard = yaml.safe_load(report.path.read_text(encoding="utf-8"))
        assert [prompt["text"] for prompt in standard["prompts"]] == texts


def test_the_file_is_what_a_person_would_write(importer: Importer) -> None:
    """Block style, no noise: defaults once, several lines as a block, words left unquoted."""
    report = importer("My kit.csv", 'text\nA café\n"two\nlines"\n1e5\n', variants=2)
    assert report.path.name == "my-kit.yaml"
    assert report.path.read_text(encoding="utf-8") == (
        "collection: my-kit\n"
        "defaults:\n"
        "  model: black-forest-labs/flux-schnell\n"
        "  variants: 2\n"
        "prompts:\n"
        "  - id: a-cafe\n"
        "    text: A café\n"
        "  - id: two-lines\n"
        "    text: |-\n"
        "      two\n"
        "      lines\n"
        "  - id: 1e5\n"
        '    text: "1e5"\n'
    ).replace("id: 1e5", 'id: "1e5"')


def test_importing_again_gives_the_same_ids(importer: Importer, tmp_path: Path) -> None:
    """Equal slugs are told apart by their texts, so ids hold when rows around them come and go."""
    rows = "text\nA lake.\nA lake!\nA lake?\nA lake!\n"
    importer("a.csv", rows)
    first = loaded(tmp_path)
    assert list(first.values()) == ["A lake.", "A lake!", "A lake?", "A lake!"]
    assert next(iter(first)) == "a-lake"
    importer("a.csv", rows, overwrite=True)
    assert loaded(tmp_path) == first
    importer("a.csv", rows.replace("A lake!\n", "", 1), overwrite=True)
    assert set(loaded(tmp_path)) < set(first)


def test_bad_rows_are_reported_by_line_and_the_rest_imported(
    importer: Importer, tmp_path: Path
) -> None:
    """Lines are the file's own, also below cells that run over several; bad rows cost no other."""
    report = importer(
        "a.csv",
        "id,text\n"
        'one,"first\nsecond"\n'  # lines 2 and 3
        "two,\n"  # 4
        "three,nul \0\n"  # 5
        f"four,{'x' * 2001}\n"  # 6
        "Bad Id,Something fine\n"  # 7
        "one,again\n"  # 8
        "five,one comma, too many\n"  # 9
        "\n"
        "six,fine\n"  # 11
        "seven\n",  # 12
    )
    assert loaded(tmp_path) == {"one": "first\nsecond", "bad-id": "Something fine", "six": "fine"}
    assert report.imported == 3
    found = [(problem.line, problem.field) for problem in report.problems]
    assert found == [(4, "text"), (5, "text"), (6, "text"), (8, "id"), (9, None), (12, "text")]
    assert "2,001 characters" in report.problems[2].message
    assert "taken by line 2" in report.problems[3].message
    assert str(report.problems[0]) == "a.csv:4: text: it is empty."
    assert any("1 id was made valid, such as 'Bad Id' to bad-id" in it for it in report.notes)


def test_a_stray_quote_costs_its_row_only(importer: Importer, tmp_path: Path) -> None:
    """A quote that nothing closes does not swallow the good rows below it."""
    report = importer(
        "a.csv", 'note,text\nx,"never closed\ny,good\nz,"quoted, good"\nw,"broken" here\nv,last\n'
    )
    assert list(loaded(tmp_path).values()) == ["good", "quoted, good", "last"]
    assert [problem.line for problem in report.problems] == [2, 5]


def test_quotes_in_a_tsv_of_plain_text_are_text(importer: Importer, tmp_path: Path) -> None:
    """A TSV whose quotes do not balance as CSV's keeps every one of them."""
    importer("a.tsv", '\ufeffPrompt\tNote\r\n"Stop," she said\tx\r\n\'tis 5" long\t\r\n')
    assert list(loaded(tmp_path).values()) == ['"Stop," she said', "'tis 5\" long"]


def test_quotes_of_a_spreadsheets_tsv_are_not(importer: Importer, tmp_path: Path) -> None:
    """A TSV quoted as CSV is read as such: tabs and line ends inside cells."""
    importer("a.tsv", 'text\tnote\n"a\ttab and ""quotes"""\tx\nplain\t"a\nb"\n')
    assert list(loaded(tmp_path).values()) == ['a\ttab and "quotes"', "plain"]


def test_json_lines(importer: Importer, tmp_path: Path) -> None:
    """Each line stands for itself; ids may be numbers; what is no object or text is reported."""
    report = importer(
        "a.jsonl",
        '{"n": 1, "text": "one\\u2028still one"}\n\n{"n": 2, "text": 5}\nnot json\n[1]\n'
        '{"n": true, "text": "x"}\n{"n": 3}\n{"n": 4, "text": "\\ud800"}\n{"n": 5, "text": "y"}\n',
        mapping={"n": "id"},
    )
    assert loaded(tmp_path) == {"1": "one\u2028still one", "5": "y"}
    assert [problem.line for problem in report.problems] == [3, 4, 5, 6, 7, 8]


def test_ids_of_other_collections_are_not_given_out_again(
    importer: Importer, tmp_path: Path
) -> None:
    """What is imported beside an existing collection never collides with it."""
    importer("a.csv", "text\nA lake\nA hill\n")
    report = importer("b.csv", "text\nA lake\n")
    assert report.imported == 1
    assert len(loaded(tmp_path)) == 3
    report = importer("c.csv", "id,text\na-hill,x\nnew,y\n")
    assert "taken by images/a.yaml" in report.problems[0].message
    assert set(loaded(tmp_path)) > {"a-hill", "new"}


def test_an_existing_file_is_kept_unless_told(importer: Importer, tmp_path: Path) -> None:
    """Nothing is overwritten by accident, nor by an import that brings nothing."""
    importer("a.csv", "text\nA lake\n")
    with pytest.raises(AssetPipelineError, match="exists already"):
        importer("a.csv", "text\nA hill\n")
    assert importer("a.csv", "text\n\0\n", overwrite=True).imported == 0
    assert loaded(tmp_path) == {"a-lake": "A lake"}


@pytest.mark.parametrize(
    ("name", "text", "options", "message"),
    [
        ("a.csv", "Headline,Body\nx,y\n", {}, "No column is known as the text.*Headline"),
        ("a.csv", "text,text\nx,y\n", {"mapping": {"TEXT": "id"}}, "No column is known"),
        ("a.csv", "", {}, "holds no row"),
        ("a.csv", "text\nx\n", {"mapping": {"idd": "id"}}, "no column 'idd'"),
        ("a.csv", "text\nx\n", {"mapping": {"text": "txt"}}, "'txt' is no field"),
        ("a.doc", "text\nx\n", {}, r"'\.doc' cannot be imported"),
        ("a.xlsx", "text\nx\n", {}, r"no \.xlsx workbook"),
        ("a.csv", b"text\ncaf\x81\n", {}, r"not cp1252: byte 0x81 on line 2"),
        ("a.csv", "text\nx\n", {"model": "flux-shnell"}, "Did you mean black-forest"),
        ("a.csv", "text\nx\n", {"model": "suno-ai/bark", "kind": Kind.IMAGE}, "makes audio"),
        ("a.csv", "text\nx\n", {"model": "stability-ai/sdxl"}, "no price"),
        ("a.csv", "text\nx\n", {"collection": "../x"}, "no name for a collection"),
        ("a.csv", "text\nx\n", {"variants": 0}, "0 variants"),
        ("a.csv", '"text\nx\n', {}, "header cannot be read"),
        ("a.json", "{", {}, "not JSON on line 1"),
    ],
)
def test_what_concerns_the_whole_import_is_an_error(
    importer: Importer,
    tmp_path: Path,
    name: str,
    text: str | bytes,
    options: dict[str, object],
    message: str,
) -> None:
    """A wrong file, column, model or name stops the import before anything is written."""
    with pytest.raises(AssetPipelineError, match=message):
        importer(name, text, **options)
    assert not list(tmp_path.glob("prompts/**/*.yaml"))
