from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from asset_pipeline.catalog.reader import load_catalog
from asset_pipeline.cli.app import app
from asset_pipeline.ledger.budgets import CapsSource
from asset_pipeline.prompts.library import load_library
from asset_pipeline.settings import Settings, load_settings
from asset_pipeline_tests.support.settled_files import write_settled

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASSET_PIPELINE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("ASSET_PIPELINE_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("ASSET_PIPELINE_PROMPTS_DIR", str(tmp_path / "prompts"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prompts" / "images").mkdir(parents=True)
    (tmp_path / "config").mkdir()
    return tmp_path


def _yaml_with(key: str) -> str:
    (found,) = [block for block in _blocks("yaml") if key in yaml.safe_load(block)]
    return found


def test_the_collection_of_the_readme_is_usable(project: Path) -> None:
    """The example file loads without a problem."""
    (project / "prompts" / "images" / "kit.yaml").write_text(_yaml_with("prompts"))
    library = load_library(project / "prompts", load_catalog(None))
    assert library.problems == ()
    (prompt,) = library.prompts.values()
    assert prompt.collection == "estate-planning"
    assert prompt.variants == 2


def test_the_budgets_of_the_readme_are_read(project: Path) -> None:
    """The example caps are what the ledger will hold."""
    write_settled(project / "config" / "budgets.yaml", _yaml_with("total_usd"))
    caps = CapsSource(load_settings()).current()
    assert str(caps.collections_usd["estate-planning"]) == "12.50"
    assert str(caps.run_usd) == "20"


def test_the_models_of_the_readme_are_read(project: Path) -> None:
    """The example prices a model that the catalog leaves unpriced."""
    write_settled(project / "config" / "models.yaml", _yaml_with("models"))
    assert load_catalog(project / "config").get("stability-ai/sdxl").prices


@pytest.mark.usefixtures("project")
def test_the_queries_of_the_readme_run() -> None:
    """Each example query works on a warehouse that was just published, even an empty one."""
    runner = CliRunner()
    assert runner.invoke(app, ["costs", "--by", "model"]).exit_code == 0
    queries = _blocks("sql")
    assert len(queries) >= 3
    for query in queries:
        result = runner.invoke(app, ["sql", query])
        assert result.exit_code == 0, result.output


def test_the_commands_of_the_readme_exist(project: Path) -> None:
    """Each example command is known, with each of its options."""
    (project / "prompts.csv").write_text("text\nA spring meadow\n")
    lines = [line for block in _blocks("sh") for line in block.splitlines()]
    commands = [shlex.split(line, comments=True)[1:] for line in lines if "asset-pipeline" in line]
    assert len(commands) >= 5
    for words in commands:
        result = CliRunner().invoke(app, [*words, "--help"])
        assert result.exit_code == 0, f"{words}: {result.output}"


def test_every_setting_is_in_the_example_environment() -> None:
    """`.env.example` lists all variables and no others."""
    listed = set(re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    known = {field.alias for field in Settings.model_fields.values()}
    assert listed == known


def test_the_pictures_of_the_readme_exist() -> None:
    """No broken picture on the first page."""
    for target in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README):
        assert (ROOT / target).is_file(), target


def test_every_dependency_has_its_reason() -> None:
    """CONTRIBUTING names each direct dependency."""
    pyproject = (ROOT / "pyproject.toml").read_text()
    contributing = (ROOT / "CONTRIBUTING.md").read_text()
    names = re.findall(r'^  "([a-z0-9-]+)(?:\[[a-z]+\])?[=<>~]', pyproject, flags=re.MULTILINE)
    missing = [name for name in names if name not in contributing and "pytest-" not in name]
    assert missing == []


def test_make_clean_leaves_what_was_paid_for(tmp_path: Path) -> None:
    """It removes what tests and builds left, and neither ledger, clips nor Dagster's history."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    kept = [
        "data/ledger.db",
        "data/clips/image/one.webp",
        "data/gallery/index.html",
        "dagster_home/dagster.yaml",
        "dagster_home/history/runs.db",
        "prompts/images/all.yaml",
        ".env",
    ]
    for name in [*kept, ".pytest_cache/x", "htmlcov/x", ".coverage"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    subprocess.run(["make", "clean"], cwd=tmp_path, check=True, capture_output=True)
    left = [
        str(path.relative_to(tmp_path))
        for path in tmp_path.rglob("*")
        if path.is_file() and path.name != "Makefile"
    ]
    assert sorted(left) == sorted(kept)
