"""Tables as people have them: spreadsheets with their quirks, corpora, and back out again."""

from __future__ import annotations

import csv
import io
import json
import os
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import date, time
from pathlib import Path
from time import process_time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import Workbook

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.catalog.reader import load_catalog
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.prompts.importers import ImportReport, ImportRequest, import_prompts
from asset_pipeline.prompts.library import load_library
from asset_pipeline.prompts.sheet_export import as_csv, as_xlsx, prompt_rows
from asset_pipeline.prompts.source_file import MAX_BYTES
from asset_pipeline.prompts.spec import Prompt
from asset_pipeline.prompts.tables import Form
from asset_pipeline.prompts.text import clean, objection

CATALOG = load_catalog(None)
DAY = date(2026, 11, 1)
SCHNELL = "black-forest-labs/flux-schnell"
# The suite tries few; ASSET_PIPELINE_TEST_EXAMPLES=2000 is the whole property.
EXAMPLES = int(os.environ.get("ASSET_PIPELINE_TEST_EXAMPLES", "25"))
PROPERTY = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)

HEADINGS = [
    "ID", "Prompt", "Negative prompt", "Aspect ratio", "Seed", "Model", "Variants", "Tags",
    "Style", "Notes", "Owner", "Due",
]  # fmt: skip
ROWS = 300

Importer = Callable[..., ImportReport]


@pytest.fixture
def importer(tmp_path: Path) -> Importer:
    """Return an import of bytes, written to a file of a given name, into tmp_path/prompts."""

    def run(name: str, data: bytes, **options: Any) -> ImportReport:  # noqa: ANN401 -- the request's
        source = tmp_path / name
        source.write_bytes(data)
        return import_prompts(
            ImportRequest(source, **options), tmp_path / "prompts", CATALOG, on=DAY
        )

    return run


def library(folder: Path) -> dict[str, Prompt]:
    """Return the prompts of a folder by id; there may be no problem in it."""
    found = load_library(folder / "prompts", CATALOG, on=DAY)
    assert found.problems == ()
    return {prompt_id: prompt for (_, prompt_id), prompt in found.prompts.items()}


def row(number: int) -> list[Any]:
    """Return a row under HEADINGS as a person types it."""
    return [
        f"SP-{number:03d}", f"A fox, no. {number}, in the snow — “quiet”\nsecond line", "blur",
        "16:9", number, "Flux Schnell", 2, "Winter; fox", "gouache", 'see "brief", p. 3',
        "Zoë", "2026-12-01",
    ]  # fmt: skip


def check_sheet(folder: Path, report: ImportReport) -> None:
    """Check that every column of the 300 rows arrived, as what it is."""
    assert report.problems == ()
    prompts = library(folder)
    assert len(prompts) == ROWS
    prompt = prompts["sp-007"]
    assert prompt.text == "A fox, no. 7, in the snow — “quiet”\nsecond line"
    assert (prompt.model, prompt.variants, prompt.style) == (SCHNELL, 2, "gouache")
    assert prompt.inputs["aspect_ratio"] == "16:9"
    assert prompt.tags == ("Winter", "fox")
    assert {name: prompt.fields[name] for name in ("Negative prompt", "Notes", "Owner", "Due")} == {
        "Negative prompt": "blur",
        "Notes": 'see "brief", p. 3',
        "Owner": "Zoë",
        "Due": "2026-12-01",
    }
    assert any("takes no negative_prompt" in note for note in report.notes)


def workbook(rows: list[list[Any]]) -> Any:  # noqa: ANN401 -- the library is untyped here
    """Return a workbook whose one sheet has these rows."""
    book: Any = Workbook()
    for values in rows:
        book.active.append(values)
    return book


def saved(book: Any) -> bytes:  # noqa: ANN401 -- as above
    """Return a workbook's bytes."""
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


def test_a_sheet_of_excel(importer: Importer, tmp_path: Path) -> None:
    """A title above the header, 16:9 taken for a time, real dates, zeros by format, more sheets."""
    book = workbook([["Spring campaign 2026"], [], HEADINGS])
    sheet = book.active
    sheet.title = "Prompts"
    for number in range(ROWS):
        values = row(number)
        values[3], values[11] = time(16, 9), date(2026, 12, 1)
        values[4] = float(number)
        sheet.append([*values, None, None])
    book.create_sheet("Lookup").append(["x"])
    hidden = book.create_sheet("Old", 0)
    hidden.sheet_state = "hidden"
    hidden.append(["Prompt"])
    report = importer("Campaign.xlsx", saved(book), model=SCHNELL)
    check_sheet(tmp_path, report)
    assert library(tmp_path)["sp-007"].fields["ID"] == "SP-007"
    notes = " ".join(report.notes)
    assert "sheet 'Prompts'; not read: 'Old', 'Lookup'" in notes
    assert "Spring campaign 2026" in notes
    assert "300 ids were made valid, such as 'SP-000' to sp-000" in notes


def test_a_sheet_of_google(importer: Importer, tmp_path: Path) -> None:
    """UTF-8, CRLF, quotes where needed, an empty column and blank rows below."""
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow([*HEADINGS, ""])
    writer.writerows([*row(number), ""] for number in range(ROWS))
    writer.writerows([[""] * 13] * 50)
    report = importer("sheet.csv", table.getvalue().encode(), kind=Kind.IMAGE)
    check_sheet(tmp_path, report)


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-16-le", "utf-8-sig"])
def test_a_sheet_of_libreoffice(importer: Importer, tmp_path: Path, encoding: str) -> None:
    """Semicolons and all quoted, in whatever encoding its dialog was left at."""
    table = io.StringIO()
    writer = csv.writer(table, delimiter=";", quoting=csv.QUOTE_ALL)
    writer.writerows([HEADINGS, *(row(number) for number in range(ROWS))])
    report = importer("sheet.csv", table.getvalue().encode(encoding), kind=Kind.IMAGE)
    check_sheet(tmp_path, report)
    shown = "UTF-16" if "16" in encoding else encoding.removesuffix("-sig").replace("utf", "UTF")
    assert report.notes[:2] == (f"read as {shown}", "separated by semicolons")


@pytest.mark.parametrize(
    ("name", "text", "texts"),
    [
        ("metadata.csv", 'LJ001-0001|Printing, "old.|Printing old.\nLJ001-0002|In "being|x y\n',
         {"lj001-0001": 'Printing, "old.', "lj001-0002": 'In "being'}),
        ("a.txt", 'A red fox\n\nA blue fox, 5" long\n',
         {"a-red-fox": "A red fox", "a-blue-fox-5-long": 'A blue fox, 5" long'}),
        ("a.tsv", 'id\tsentence\n1\t"Stop\n2\tHe said "go"\n3\tfox"\n',
         {"1": '"Stop', "2": 'He said "go"', "3": 'fox"'}),
        ("a.csv", "sep=;\nID;Prompt\n1;A dog\n", {"1": "A dog"}),
        ("a.csv", "ID\tPrompt\n1\tA dog, red\n2\tA cat\n", {"1": "A dog, red", "2": "A cat"}),
        ("a.csv", "key,Description\nx,A dog\n", {"x": "A dog"}),
        ("a.json", '[{"id": "x", "prompt": "A dog"}, "A cat"]', {"x": "A dog", "a-cat": "A cat"}),
        ("a.json", '{"prompts": [{"text": "A dog"}]}', {"a-dog": "A dog"}),
        ("a.jsonl", '{"meta": {"caption": "A dog"}, "k": 1}\n', {"a-dog": "A dog"}),
    ],
)  # fmt: skip
def test_shapes_of_corpora(
    importer: Importer, tmp_path: Path, name: str, text: str, texts: dict[str, str]
) -> None:
    """Each is read without a flag, and no quote of it is taken for a spreadsheet's."""
    report = importer(name, text.encode(), kind=Kind.IMAGE, model=SCHNELL)
    if name == "a.json" and "cat" in text:
        assert report.imported == len(texts)
    assert report.problems == ()
    assert {key: prompt.text for key, prompt in library(tmp_path).items()} == texts


def test_nested_inputs_of_json_lines(importer: Importer, tmp_path: Path) -> None:
    """Inputs are inputs, also nested; what else is nested is kept as it is."""
    line = {
        "prompt": "A dog",
        "inputs": {"aspect_ratio": "16X9", "num_inference_steps": "3", "cfg": 2},
        "seed": 5,
        "tags": ["a", "b"],
        "source": {"book": 1},
    }
    importer("a.jsonl", json.dumps(line).encode(), model=SCHNELL)
    prompt = library(tmp_path)["a-dog"]
    assert prompt.inputs == {"aspect_ratio": "16:9", "num_inference_steps": 3, "seed": 5}
    assert prompt.fields == {"inputs.cfg": 2, "source": {"book": 1}}
    assert prompt.tags == ("a", "b")


def test_nothing_is_swallowed(importer: Importer) -> None:
    """Rows in a quoted cell, errors of a spreadsheet, doubled names of JSON: each has its word."""
    report = importer("a.csv", b'id,text\nSP-1,"A dog\nSP-2,A cat"\nSP-3,A cow\nSP-4,#REF!\n')
    assert any("lines 2 to 3 are one row" in note for note in report.notes)
    assert "the cell holds the error #REF!" in report.problems[0].message
    report = importer("b.jsonl", b'{"text": "A", "text": "B"}\n{"text": "C", "x": NaN}\n')
    assert [problem.line for problem in report.problems] == [1, 2]
    assert "given twice" in report.problems[0].message
    report = importer("c.csv", b"id,text\n")
    assert "no row below the header" in report.problems[0].message


def test_a_voice_column_makes_audio(importer: Importer, tmp_path: Path) -> None:
    """The voice goes to the input that the model has for it."""
    report = importer("a.csv", b"Line;Voice\nHello there;af_bella\n")
    assert report.kind is Kind.AUDIO
    assert library(tmp_path)["hello-there"].inputs == {"voice": "af_bella"}


def test_a_formula_without_a_value_is_no_empty_cell(importer: Importer) -> None:
    """Programs that don't calculate write formulas without values: the row is refused."""
    data = saved(workbook([["text", "seed"], ["A dog", "=1+1"], ["A cat", 3]]))
    report = importer("a.xlsx", data)
    assert report.imported == 1
    assert "formula in B2 has no stored value" in report.problems[0].message


def bomb() -> bytes:
    """Return a workbook that unpacks to 300 MB."""
    target = io.BytesIO(saved(workbook([["text"], ["A dog"]])))
    with zipfile.ZipFile(target, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/media/x.bin", b"\0" * (300 * 2**20))
    return target.getvalue()


def entity(mark: str = "utf-8") -> bytes:
    """Return a workbook whose strings begin with a document type."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        text = '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><sst>&e;</sst>'
        archive.writestr("xl/sharedStrings.xml", text.encode(mark))
    return target.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (bomb, "unpacks to over 256 MiB"),
        (entity, "holds a document type"),
        (lambda: entity("utf-16"), "holds a document type"),
        (lambda: b"PK\x03\x04 broken", "no .xlsx workbook"),
        (lambda: b"\xd0\xcf\x11\xe0 old", "an old .xls"),
        (lambda: saved(workbook([])), "holds no row"),
        (lambda: saved(workbook([["text"] + [""] * 600 + ["x"]])), "more than 500 columns"),
    ],
)
def test_a_hostile_workbook_is_refused(
    importer: Importer, data: Callable[[], bytes], message: str
) -> None:
    """Before the library reads it, it is known to be bounded and without entities."""
    with pytest.raises(AssetPipelineError, match=message):
        importer("a.xlsx", data())


def test_only_regular_files_of_bounded_size_are_read(tmp_path: Path) -> None:
    """A pipe does not hang the import, and a sparse file of any size does not fill the memory."""
    os.mkfifo(tmp_path / "pipe.csv")
    with (tmp_path / "large.csv").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    for name, message in (("pipe.csv", "a pipe"), ("large.csv", "longer than the 64 MiB"),
                          ("none.csv", "cannot be read")):  # fmt: skip
        with pytest.raises(AssetPipelineError, match=message):
            import_prompts(ImportRequest(tmp_path / name), tmp_path / "prompts", CATALOG, on=DAY)


def test_an_update_changes_what_the_sheet_changed(importer: Importer, tmp_path: Path) -> None:
    """Fields, prompts and comments made by hand stay; what left the sheet leaves the file."""
    first = importer("a.csv", b"id,text,style\nx,A dog,gouache\ny,A cat,\nz,A cow,\n")
    written = first.path.read_text()
    by_hand = written.replace(
        "    text: A dog\n", "    text: A dog\n    tags: [best]\n    # keep\n"
    )
    by_hand = by_hand.replace("text: A cat", "text: A black cat").replace(
        "prompts:\n", "prompts:\n  # by hand\n  - id: own\n    text: Mine\n"
    )
    first.path.write_text(by_hand)
    report = importer("a.csv", b"id,text,style\nx,A dog,oil\ny,A cat,\nnew,A hen,\n", update=True)
    assert report.update is not None
    assert (report.update.added, report.update.changed) == (("new",), ("x",))
    assert (report.update.removed, report.update.kept) == (("z",), ("own",))
    prompts = library(tmp_path)
    assert {key: it.text for key, it in prompts.items()} == {
        "own": "Mine", "x": "A dog", "y": "A black cat", "new": "A hen",
    }  # fmt: skip
    assert (prompts["x"].style, prompts["x"].tags) == ("oil", ("best",))
    assert "# by hand" in first.path.read_text()
    again = importer("a.csv", b"id,text,style\nx,A dog,oil\ny,,\nnew,A hen,\n", update=True)
    assert again.update is not None
    assert again.update.removed == ()
    assert set(library(tmp_path)) == set(prompts)


CELLS = st.one_of(
    st.text(max_size=20).map(clean).filter(lambda text: objection(text) is None),
    st.sampled_from(["=1+1", "'=x", "-5", "@x", "16:9", "yes", "null", "1e5", "#N/A", "_x0041_",
                     "a;b", 'a"b', "a|b\tc", "- x", "x: y", "x #y", "2024-01-01", "0123"]),
)  # fmt: skip


@PROPERTY
@given(st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=6),
       st.sampled_from(["csv", "xlsx"]))  # fmt: skip
def test_export_then_import_gives_the_same_prompts(
    rows: list[tuple[str, str, str]], form: str
) -> None:
    """Every prompt comes back with its hash, id, tags and fields, through either form."""
    prompts = [
        Prompt(
            kind=Kind.IMAGE, prompt_id=f"p-{number}", collection="table", text=text, style="",
            model=SCHNELL, variants=2, inputs={"seed": 7, "go_fast": True, "megapixels": "0.25"}
            if number % 2 else {"aspect_ratio": "16:9"},
            tags=("a b", "c"), reference=None, reference_sha256=None, path="images/table.yaml",
            fields={"Notes": note, "text": other},
        )
        for number, (text, note, other) in enumerate(rows) if text != "#N/A"
    ]  # fmt: skip
    prompts = [it if "seed" not in it.inputs else _one(it) for it in prompts]
    if not prompts:
        return
    columns, cells = prompt_rows(prompts)
    data = as_csv(columns, cells).encode() if form == "csv" else as_xlsx(columns, cells)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, f"table.{form}")
        source.write_bytes(data)
        report = import_prompts(ImportRequest(source), Path(folder, "prompts"), CATALOG, on=DAY)
        assert report.problems == ()
        back = {key: replace(it, renditions={}) for key, it in library(Path(folder)).items()}
        assert back == {it.prompt_id: it for it in prompts}


def _one(prompt: Prompt) -> Prompt:
    # A seed of one's own allows one variant.
    return replace(prompt, variants=1)


@PROPERTY
@given(
    st.lists(st.lists(st.one_of(st.just(""), CELLS), min_size=4, max_size=4), max_size=8),
    st.sampled_from([",", ";", "\t", "|"]),
)
def test_no_table_loses_a_row_or_a_cell_silently(rows: list[list[str]], mark: str) -> None:
    """Each row is a prompt with all its cells, or has a problem; blank ones lose nothing."""
    table = io.StringIO()
    writer = csv.writer(table, delimiter=mark)
    writer.writerows([["id", "Prompt", "Notes", "Tags"], *rows])
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "table.csv")
        source.write_bytes(table.getvalue().encode())
        request = ImportRequest(source, form=Form(delimiter=mark))
        report = import_prompts(request, Path(folder, "prompts"), CATALOG, on=DAY)
        real = [it for it in rows if any(cell.strip() for cell in it)]
        refused = {problem.line for problem in report.problems if problem.line}
        if '"' in table.getvalue() and "quotes are read as text" in report.notes:
            return  # a tab or pipe file whose quotes are characters: its rows are other ones
        assert report.imported + len(refused) == len(real)
        if not report.imported:
            return
        kept = [(it.text, it.fields, it.tags) for it in library(Path(folder)).values()]
        wanted = [it[2].strip("'") for it in real if it[2].strip()]
        notes = [str(fields["Notes"]).strip("'") for _, fields, _ in kept if "Notes" in fields]
        assert len(wanted) - len(notes) <= len(refused)
        assert set(notes) <= set(wanted)


def test_a_corpus_of_ten_thousand_rows_takes_no_time(importer: Importer, tmp_path: Path) -> None:
    """Pipes without a header, as corpora have them: under 3 s of this process's own time."""
    lines = [f'LJ{at // 200:03d}-{at % 200:04d}|Printing is "old", {at}.\n' for at in range(10_000)]
    begun = process_time()
    report = importer("metadata.csv", "".join(lines).encode(), kind=Kind.AUDIO)
    assert process_time() - begun < 3
    assert (report.imported, report.problems) == (10_000, ())
    last = library(tmp_path)["lj049-0199"]
    assert last.text == 'Printing is "old", 9999.'


def test_two_sheets_that_count_from_one(importer: Importer) -> None:
    """The second is refused with what to write, and what it says works."""
    importer("a.csv", b"ID,Prompt\n1,A fox\n")
    (problem,) = importer("b.csv", b"ID,Prompt\n1,A dog\n").problems
    assert problem.hint.endswith("--map ID=fields.ID keeps the column and makes ids of the texts.")
    assert importer("b.csv", b"ID,Prompt\n1,A dog\n", mapping={"ID": "fields.ID"}).imported == 1
