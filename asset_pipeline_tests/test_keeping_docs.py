from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from asset_pipeline.cli.app import app
from asset_pipeline.custody.retention_rules import RETENTION_FILE, load_rules
from asset_pipeline_tests.support.settled_files import write_settled

PAGE = (Path(__file__).parent.parent / "docs" / "keeping-clips.md").read_text()


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.fixture
def project(clean_environment: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with the prompt that the page speaks of, and no clip yet."""
    monkeypatch.setenv("DAGSTER_HOME", str(clean_environment / "dagster"))
    (clean_environment / "prompts" / "images").mkdir(parents=True)
    (clean_environment / "config").mkdir()
    (clean_environment / "prompts" / "images" / "kit.yaml").write_text(
        yaml.safe_dump(
            {
                "collection": "estate-planning",
                "defaults": {"model": "black-forest-labs/flux-schnell"},
                "prompts": [{"id": "will-cover", "text": "A cover", "tags": ["cover"]}],
            }
        )
    )
    return clean_environment


def test_the_rules_of_the_page_are_read(project: Path) -> None:
    """The example file is a good one."""
    (example,) = _blocks("yaml")
    write_settled(project / "config" / RETENTION_FILE, example)
    rules = load_rules(project / "config")
    assert [rule.superseded_beyond for rule in rules.rules] == [None, 2]
    assert rules.max_bytes == 500_000_000_000


def test_the_commands_of_the_page_run(project: Path) -> None:
    """Each runs on an empty project; those that need a clip say so; buckets are left alone."""
    write_settled(project / "config" / RETENTION_FILE, _blocks("yaml")[0])
    lines = [line for block in _blocks("sh") for line in block.splitlines()]
    assert len(lines) >= 9
    for line in lines:
        words = shlex.split(line, comments=True)
        assert words[0] == "asset-pipeline"
        arguments = [word.replace("~", str(project)) for word in words[1:]]
        if any("s3://" in word for word in arguments):
            arguments.append("--help")
        result = CliRunner().invoke(app, arguments)
        needs_a_clip = arguments[0] in {"link", "approve", "unapprove"}
        assert result.exit_code == (2 if needs_a_clip else 0), f"{line}: {result.output}"
        assert not needs_a_clip or "No stored clip" in result.output


def test_the_queries_of_the_page_run(project: Path) -> None:
    """Each works on what the check has published."""
    assert CliRunner().invoke(app, ["fsck"]).exit_code == 0
    queries = _blocks("sql")
    assert len(queries) >= 4
    for query in queries:
        result = CliRunner().invoke(app, ["sql", query])
        assert result.exit_code == 0, result.output
    assert project.is_dir()
