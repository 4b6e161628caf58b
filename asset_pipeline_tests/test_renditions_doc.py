"""The examples of docs/renditions.md work as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.catalog.reader import load_catalog
from asset_pipeline.cli.app import app
from asset_pipeline.defs.checks.clips import AGREE
from asset_pipeline.defs.checks.inspection import CheckName
from asset_pipeline.defs.run_config import ClipsConfig
from asset_pipeline.prompts.library import load_library
from asset_pipeline.prompts.rendition_specs import DEFAULTS

ROOT = Path(__file__).parent.parent
DOC = (ROOT / "docs" / "renditions.md").read_text()


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOC, flags=re.DOTALL)


def test_the_collections_are_usable(tmp_path: Path) -> None:
    """Both example files load without a problem, with the renditions that they name."""
    pictures, sounds = _blocks("yaml")
    for folder, text in (("images", pictures), ("audio", sounds)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "kit.yaml").write_text(text)
    library = load_library(tmp_path, load_catalog(None))
    assert library.problems == ()
    found = {kind: library.of_kind(kind) for kind in Kind}
    assert set(found[Kind.IMAGE]["meadow"].renditions) == set(
        yaml.safe_load(pictures)["renditions"]
    )
    assert set(found[Kind.AUDIO]["hello"].renditions) == {"web", "radio"}


def test_the_queries_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each example query works on a warehouse that was just published."""
    for name in ("DATA_DIR", "CONFIG_DIR", "PROMPTS_DIR"):
        monkeypatch.setenv(f"ASSET_PIPELINE_{name}", str(tmp_path / name))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    (tmp_path / "PROMPTS_DIR").mkdir()
    runner = CliRunner()
    assert runner.invoke(app, ["costs", "--by", "model"]).exit_code == 0
    for query in _blocks("sql"):
        result = runner.invoke(app, ["sql", query])
        assert result.exit_code == 0, result.output


def test_all_that_there_is_is_named() -> None:
    """Every field of the run config, every check and every default rendition is documented."""
    named = set(re.findall(r"`([a-z_]+)`", DOC))
    assert set(ClipsConfig.model_fields) <= named
    assert {*CheckName, AGREE} <= named
    assert {name for renditions in DEFAULTS.values() for name in renditions} <= named
