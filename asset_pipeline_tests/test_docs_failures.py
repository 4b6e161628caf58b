"""docs/failures.md is true: its files load, its queries run, its table names the classes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from asset_pipeline.catalog.fallbacks import fallback_inputs
from asset_pipeline.catalog.kind import Kind
from asset_pipeline.catalog.reader import load_catalog
from asset_pipeline.cli.app import app
from asset_pipeline.clock import SystemClock
from asset_pipeline.generation.failures import ErrorClass
from asset_pipeline.generation.retry.rules import Strategy
from asset_pipeline.generation.retry.rules_file import RulesSource, load_rules
from asset_pipeline.prompts.library import load_library
from asset_pipeline_tests.support.settled_files import write_settled

PAGE = (Path(__file__).parent.parent / "docs" / "failures.md").read_text()


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


def _yaml_with(key: str) -> str:
    (found,) = [block for block in _blocks("yaml") if key in yaml.safe_load(block)]
    return found


def test_the_rules_are_read_as_they_stand(tmp_path: Path) -> None:
    """The example changes what it names and nothing else."""
    write_settled(tmp_path / "retry_rules.yaml", _yaml_with("classes"))
    rules = RulesSource(tmp_path).current()
    assert rules.max_total_retries == 5
    assert rules.classes[ErrorClass.SERVER_ERROR].base_delay_seconds == 5
    assert rules.classes[ErrorClass.BAD_OUTPUT].strategies == (
        Strategy.IMMEDIATE_RETRY,
        Strategy.FAIL,
    )
    assert load_rules(None).classes[ErrorClass.BAD_OUTPUT].strategies == (Strategy.FAIL,)
    assert rules.classes[ErrorClass.TIMEOUT] == load_rules(None).classes[ErrorClass.TIMEOUT]
    assert rules.simplify.apply("A gruesome sword") == "A walking stick"


def test_the_collection_is_usable(tmp_path: Path) -> None:
    """It loads without a problem, and its prompt would be simplified."""
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "tea.yaml").write_text(_yaml_with("generic_prompts"))
    library = load_library(tmp_path, load_catalog(None))
    assert library.problems == ()
    prompt = library.prompts[Kind.IMAGE, "tea-battle"]
    assert len(prompt.generic_prompts) == 2
    assert load_rules(None).simplify.apply(prompt.text) == "Two tea leaves in a duel"


def test_the_fallback_is_read_and_maps(tmp_path: Path) -> None:
    """The voice of the example has another name and another value there."""
    write_settled(tmp_path / "models.yaml", _yaml_with("models"))
    catalog = load_catalog(tmp_path)
    (fallback,) = catalog.get("minimax/speech-02-turbo").fallbacks
    today = SystemClock().now().date()
    mapped = fallback_inputs(catalog, fallback, {"voice_id": "Wise_Woman"}, text="Hi", on=today)
    assert mapped == {"voice": "bf_emma"}


def test_the_table_is_of_the_classes_there_are() -> None:
    """Each class has its line, in order, and no other has one."""
    assert re.findall(r"^\| `(\w+)` \|", PAGE, flags=re.MULTILINE) == [
        each.value for each in ErrorClass
    ]


def test_the_queries_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a warehouse that was just published, even an empty one."""
    for name in ("DATA_DIR", "CONFIG_DIR", "PROMPTS_DIR"):
        monkeypatch.setenv(f"ASSET_PIPELINE_{name}", str(tmp_path / name))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    (tmp_path / "PROMPTS_DIR").mkdir()
    queries = _blocks("sql")
    assert len(queries) == 2
    assert CliRunner().invoke(app, ["costs", "--by", "model"]).exit_code == 0
    for query in queries:
        result = CliRunner().invoke(app, ["sql", query])
        assert result.exit_code == 0, result.output
