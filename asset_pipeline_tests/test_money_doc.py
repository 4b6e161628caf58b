"""docs/money.md names tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
NAMED = re.findall(r"\bD/([\w/]+\.py)(?:::(\w+))?", (HERE.parent / "docs/money.md").read_text())


def test_every_row_names_a_test() -> None:
    """A situation without a proof is a promise."""
    text = (HERE.parent / "docs/money.md").read_text().split("## Who may repeat what")[0]
    rows = [line for line in text.splitlines() if line.startswith("| ") and "Situation" not in line]
    assert len(rows) == len(NAMED) >= 45


@pytest.mark.parametrize(("file", "test"), NAMED)
def test_a_named_test_exists(file: str, test: str) -> None:
    """Renaming a test renames it there."""
    tree = ast.parse((HERE / file).read_text())
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
    assert not test or test in names
    assert any(name.lower().startswith("test") for name in names)
