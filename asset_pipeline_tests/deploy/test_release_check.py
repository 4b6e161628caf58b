"""`make release-check`: what would make a release that does not fit together."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tools.release_check import main, problems

_ROOT = Path(__file__).parents[2]
_PARTS = ("pyproject.toml", "CHANGELOG.md", "mkdocs.yml", "docs", "deploy/helm")
_VERSIONS = Path("asset_pipeline/ledger/migrations/versions")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what is looked at, made fit for a release of 1.4.0."""
    for part in (*_PARTS, str(_VERSIONS)):
        source, target = _ROOT / part, tmp_path / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy(source, target)
    _edit(tmp_path / "pyproject.toml", r'^version = ".*"', 'version = "1.4.0"')
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## [1.4.0] - 2026-11-28\n\n- Ours.\n")
    _edit(tmp_path / "deploy/helm/values.yaml", r'tag: "[^"]*"', 'tag: "1.4.0"')
    _edit(tmp_path / "deploy/helm/service.yaml", r"asset-pipeline:\d\S*", "asset-pipeline:1.4.0")
    return tmp_path


def _edit(path: Path, pattern: str, replacement: str) -> None:
    path.write_text(re.sub(pattern, replacement, path.read_text(), flags=re.MULTILINE))


def test_what_fits_together_can_be_released(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The migrations and pages of this very checkout have nothing against it."""
    assert list(problems(checkout)) == []
    assert main(checkout) == 0
    assert "1.4.0 can be released" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("path", "pattern", "replacement", "told"),
    [
        ("pyproject.toml", r"1\.4\.0", "1.4", "no semantic version"),
        ("pyproject.toml", r"1\.4\.0", "1.5.0", "its newest release is 1.4.0"),
        ("CHANGELOG.md", r" - 2026-11-28", "", "has no day"),
        ("CHANGELOG.md", r"^# Changelog", "# Changelog\n\n## [Unreleased]\n\n- New.", "Unreleased"),
        ("deploy/helm/service.yaml", r"1\.4\.0", "1.3.9", "tag is 1.3.9"),
        ("deploy/helm/values.yaml", r"1\.4\.0", "1.3.9", "tag is 1.3.9"),
        ("mkdocs.yml", r"how-to/upgrade\.md", "", "docs/how-to/upgrade.md"),
    ],
)
def test_what_does_not_is_told(
    checkout: Path, path: str, pattern: str, replacement: str, told: str
) -> None:
    """Each thing is named with its file."""
    _edit(checkout / path, pattern, replacement)
    assert told in "\n".join(problems(checkout))
    assert main(checkout) == 1


def test_migrations_are_one_chain(checkout: Path) -> None:
    """A second end, a gap and a file named otherwise are each told."""
    last = max((checkout / _VERSIONS).glob("[0-9]*.py"))
    second = last.with_name("9999_another.py")
    second.write_text('revision = "9999"\ndown_revision = "0001"\n')
    found = "\n".join(problems(checkout))
    assert "migrations end at" in found
    assert "no chain" in found
    second.write_text('revision = "9998"\ndown_revision = "7777"\n')
    found = "\n".join(problems(checkout))
    assert "named otherwise" in found
    assert "7777 is followed and is not there" in found
