"""The page about briefs: what it shows as a brief is one, and its commands are known."""

from __future__ import annotations

import re
from pathlib import Path

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.catalog.reader import load_catalog
from asset_pipeline.cli.prompts import app
from asset_pipeline.drafting.brief import load_brief
from asset_pipeline.generation.failures import ErrorClass
from asset_pipeline.generation.retry.rules import Strategy
from asset_pipeline.generation.retry.rules_file import load_rules
from asset_pipeline.prompts.library import load_library

_PAGE = (Path(__file__).parent.parent / "docs" / "briefs.md").read_text(encoding="utf-8")


def _shown(which: int) -> str:
    return re.findall(r"```yaml\n(.*?)```", _PAGE, re.DOTALL)[which]


def test_the_brief_on_the_page_can_be_used(tmp_path: Path) -> None:
    """What people copy from the page is read without a complaint."""
    (tmp_path / "briefs").mkdir()
    (tmp_path / "briefs" / "herbal-teas.yaml").write_text(_shown(0), encoding="utf-8")
    brief = load_brief(tmp_path, "herbal-teas", load_catalog(tmp_path / "config"))
    assert (brief.file.count, brief.collection) == (24, "herbal-teas")


def test_the_commands_on_the_page_exist() -> None:
    """Each line names a command that there is."""
    lines = re.findall(r"asset-pipeline prompts (\w+)", _PAGE)
    assert lines
    assert set(lines) <= {command.name for command in app.registered_commands}


def test_the_sweep_on_the_page_comes_to_what_it_says(tmp_path: Path) -> None:
    """Thirty-two prompts, one of them by the id that the page names."""
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "teapots.yaml").write_text(_shown(1), encoding="utf-8")
    library = load_library(tmp_path, load_catalog(tmp_path / "config"))
    assert not library.problems
    assert len(library.prompts) == 32
    assert (Kind.IMAGE, "teapots-glass-candlelight-3-4-flux-dev-s2") in library.prompts


def test_the_rules_on_the_page_are_rules(tmp_path: Path) -> None:
    """The strategy is one, and the packaged rules name it nowhere: it is opt-in."""
    (tmp_path / "retry_rules.yaml").write_text(_shown(2), encoding="utf-8")
    refused = load_rules(tmp_path).classes[ErrorClass.CONTENT_POLICY]
    assert Strategy.REWRITTEN_PROMPT in refused.strategies
    packaged = load_rules(None).classes.values()
    assert not any(Strategy.REWRITTEN_PROMPT in rule.strategies for rule in packaged)
