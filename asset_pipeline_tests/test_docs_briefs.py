"""The page about briefs: what it shows as a brief is one, and its commands are known."""

from __future__ import annotations

import re
from pathlib import Path

from asset_pipeline.catalog.reader import load_catalog
from asset_pipeline.cli.prompts import app
from asset_pipeline.drafting.brief import load_brief

_PAGE = (Path(__file__).parent.parent / "docs" / "briefs.md").read_text(encoding="utf-8")


def test_the_brief_on_the_page_can_be_used(tmp_path: Path) -> None:
    """What people copy from the page is read without a complaint."""
    shown = re.search(r"```yaml\n(.*?)```", _PAGE, re.DOTALL)
    assert shown is not None
    (tmp_path / "briefs").mkdir()
    (tmp_path / "briefs" / "herbal-teas.yaml").write_text(shown[1], encoding="utf-8")
    brief = load_brief(tmp_path, "herbal-teas", load_catalog(tmp_path / "config"))
    assert (brief.file.count, brief.collection) == (24, "herbal-teas")


def test_the_commands_on_the_page_exist() -> None:
    """Each line names a command that there is."""
    lines = re.findall(r"asset-pipeline prompts (\w+)", _PAGE)
    assert lines
    assert set(lines) <= {command.name for command in app.registered_commands}
