"""docs/money.md and docs/security.md name tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PAGES = {
    page: (HERE.parent / "docs" / page).read_text(encoding="utf-8")
    for page in ("money.md", "security.md")
}
NAMED = [
    (page, *named)
    for page, text in PAGES.items()
    for named in re.findall(r"\bD/([\w/]+\.py)(?:::(\w+))?", text)
]
_HEADS = ("| Situation", "| What comes", "| Address |", "| Where", "| ---", "|---")


@pytest.mark.parametrize(("page", "least"), [("money.md", 45), ("security.md", 15)])
def test_every_row_names_a_test(page: str, least: int) -> None:
    """A claim without a proof is a promise."""
    text = PAGES[page].split("## Who may repeat what")[0]
    rows = [each for each in text.splitlines() if each.startswith("|")]
    claims = [each for each in rows if not each.startswith(_HEADS)]
    assert len(claims) >= least
    assert [each for each in claims if "D/" not in each] == []


@pytest.mark.parametrize(("page", "file", "test"), NAMED)
def test_a_named_test_exists(page: str, file: str, test: str) -> None:
    """Renaming a test renames it there."""
    tree = ast.parse((HERE / file).read_text(encoding="utf-8"))
    names = {
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }
    names |= {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    assert not test or test in names, page
    assert any(name.lower().startswith("test") for name in names), page
