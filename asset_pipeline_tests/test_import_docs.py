"""The page on importing a sheet, run as it is written."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from asset_pipeline.cli.app import app

PAGE = (Path(__file__).parent.parent / "docs" / "how-to" / "import-a-sheet.md").read_text()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the page's sheet in it."""
    for name, folder in (("DATA", "data"), ("CONFIG", "config"), ("PROMPTS", "prompts")):
        monkeypatch.setenv(f"ASSET_PIPELINE_{name}_DIR", str(tmp_path / folder))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    monkeypatch.chdir(tmp_path)
    for name, text in re.findall(r'```csv title="(.+)"\n(.*?)```', PAGE, re.DOTALL):
        (tmp_path / name).write_text(text)
    return tmp_path


def blocks(language: str) -> list[str]:
    """Return the page's blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_page_does_what_it_says(project: Path) -> None:
    """Each command ends well, one after the other; what generates is tried elsewhere."""
    runner = CliRunner()
    commands = [line for block in blocks("sh") for line in block.splitlines()]
    assert len(commands) >= 10
    said: dict[str, str] = {}
    for command in commands:
        words = shlex.split(command)[1:]
        if words[0] != "generate":
            result = runner.invoke(app, words)
            assert result.exit_code == 0, f"{command}: {result.output}"
            said[command] = result.output
    assert "SP-001" in said[commands[0]]
    assert not (project / "prompts" / "images" / "shots.yaml").read_text().count("SP-001,")
    assert "0 changed" in said["asset-pipeline prompts import shots.csv --update"]
    for query in [each for block in blocks("sql") for each in block.splitlines()]:
        result = runner.invoke(app, ["sql", query, "--csv"])
        assert result.exit_code == 0, result.output
        assert "scene" in result.output
    assert "1,Ana" in runner.invoke(app, ["sql", blocks("sql")[0].splitlines()[0], "--csv"]).output
