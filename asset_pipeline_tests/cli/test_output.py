"""What commands print of data: no markup, no escape sequences, no formula, no lost column."""

from __future__ import annotations

import csv
import io
import json

import pytest

from asset_pipeline.cli._output import say, show_table, stderr, stdout, write_csv, write_json
from asset_pipeline.cli.sql import objects

HOSTILE = "\x1b]8;;https://evil.example\x1b\\[link=https://evil.example][red]x\x9b31m\x07\x7f\u202e"


def _commands(text: str) -> list[str]:
    """Return what a terminal would obey."""
    return [c for c in text if (ord(c) < 32 and c not in "\n\t") or 0x7F <= ord(c) < 0xA0]


def test_tables_are_plain(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Title, headings, cells and lines show markup as text and obey no escape sequence."""
    monkeypatch.setenv("COLUMNS", "200")
    show_table(stdout(), HOSTILE, [HOSTILE, "[bold]b"], [[HOSTILE, "[red]c"]])
    say(stderr(), HOSTILE)
    captured = capsys.readouterr()
    text = captured.out + captured.err
    assert not _commands(text)
    assert "\u202e" not in text
    assert text.count("[link=https://evil.example][red]x") == 4
    assert "[bold]b" in text
    assert "[red]c" in text


def test_json_is_escaped_without_loss(capsys: pytest.CaptureFixture[str]) -> None:
    """JSON holds exactly what was there, in characters that a terminal does not obey."""
    write_json({"text": HOSTILE, "plain": "é 漢"})
    out = capsys.readouterr().out
    assert not _commands(out)
    assert "é 漢" in out
    assert json.loads(out) == {"text": HOSTILE, "plain": "é 漢"}


@pytest.mark.parametrize("for_spreadsheet", [False, True])
def test_csv_is_plain_and_guards_formulas_on_request(
    capsys: pytest.CaptureFixture[str],
    for_spreadsheet: bool,  # noqa: FBT001 -- a parameter
) -> None:
    """CSV keeps text as it is but for escape sequences; formulas are guarded when asked for."""
    formulas = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "  =1", "\uff1dx", "-x"]
    harmless = ["a=b", "1-1", "", "two\nlines", 'a "quote"', "é, 漢 \U0001f469\u200d\U0001f52c"]
    write_csv(
        ["=h", "n"],
        [[HOSTILE, -1.5], *([f, -2] for f in formulas + harmless)],
        for_spreadsheet=for_spreadsheet,
    )
    out = capsys.readouterr().out
    assert not _commands(out)
    read = list(csv.reader(io.StringIO(out)))
    guard = "'" if for_spreadsheet else ""
    assert read[0] == [f"{guard}=h", "n"]
    assert read[1][1] == "-1.5"
    assert [row[0] for row in read[2:]] == [*(guard + f for f in formulas), *harmless]


def test_json_keeps_columns_that_share_a_name() -> None:
    """The second of a name is renamed, never to one that another column has."""
    columns, row = ["a", "a", "a_2", "a", "b"], (1, 2, 3, 4, 5)
    assert objects(columns, [row]) == [{"a": 1, "a_3": 2, "a_2": 3, "a_4": 4, "b": 5}]
    assert objects(["x", "x"], [(1, 2)]) == [{"x": 1, "x_2": 2}]
