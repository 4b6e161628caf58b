"""docs/glossary.md names modules that are there."""

from __future__ import annotations

import re
from pathlib import Path

_ROOT = Path(__file__).parent.parent


def test_every_place_of_the_glossary_exists() -> None:
    """A reader who follows the last column finds the file."""
    page = (_ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    rows = [line.split("|")[3] for line in page.splitlines() if line.startswith("|")][2:]
    named = [place for row in rows for place in re.findall(r"`([^`]+)`", row)]
    assert len(named) > len(rows) // 2
    assert [place for place in named if not (_ROOT / "asset_pipeline" / place).exists()] == []
