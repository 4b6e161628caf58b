"""The licence that the package declares is the one that it carries."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]

# https://www.apache.org/licenses/LICENSE-2.0.txt, as published.
_APACHE_2 = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"


def test_apache_2_is_declared_and_carried() -> None:
    """The SPDX name, the file and the README say the same."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (project["license"], project["license-files"]) == ("Apache-2.0", ["LICENSE"])
    assert hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest() == _APACHE_2
    assert "(LICENSE)" in (ROOT / "README.md").read_text(encoding="utf-8")
