"""What may change in Dagster without notice stands in one module."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

_PRIVATE = re.compile(r"^\s*(?:from|import) dagster\w*(?:\.\w+)*\._", re.MULTILINE)


def test_private_parts_of_dagster_are_imported_in_one_module() -> None:
    """An upgrade of Dagster is looked through in one place."""
    with resources.as_file(resources.files("asset_pipeline")) as package:
        found = {
            str(path.relative_to(package))
            for path in Path(package).rglob("*.py")
            if _PRIVATE.search(path.read_text(encoding="utf-8"))
        }
    assert found == {"defs/_dagster_private.py"}
