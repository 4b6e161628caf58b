from __future__ import annotations

from pathlib import Path

import pytest

from asset_pipeline.custody.retention_rules import RETENTION_FILE, load_rules
from asset_pipeline.errors import ConfigurationError
from asset_pipeline_tests.support.settled_files import write_settled


def test_without_a_file_nothing_may_go(tmp_path: Path) -> None:
    """No rules, no bound."""
    rules = load_rules(tmp_path)
    assert (rules.rules, rules.max_bytes) == ((), None)


def test_rules_are_read(tmp_path: Path) -> None:
    """Each condition as it is written; GB are 10^9 bytes, exactly."""
    write_settled(
        tmp_path / RETENTION_FILE,
        "rules:\n"
        "  - {name: drafts, collections: [drafts], kinds: [image], older_than_days: 90}\n"
        "  - {name: former, superseded_beyond: 2}\n"
        "max_total_gb: 0.3\n",
    )
    rules = load_rules(tmp_path)
    assert [rule.name for rule in rules.rules] == ["drafts", "former"]
    assert rules.max_bytes == 300_000_000


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("rules: [{name: x}]", "older_than_days, superseded_beyond"),
        ("rules: [{name: x, collections: [a]}]", "older_than_days"),
        ("rules: [{name: x, older_then_days: 1}]", "older_then_days"),
        ("rules: [{name: x, older_than_days: -1}]", "older_than_days"),
        ("rules: [{name: x, older_than_days: 1}, {name: x, older_than_days: 2}]", "same name"),
        ("max_total_gb: -1", "max_total_gb"),
        ("- 1", "the file"),
        ("rules: [", "This is not YAML"),
    ],
)
def test_a_wrong_file_is_explained(tmp_path: Path, text: str, named: str) -> None:
    """The file and the field are named; nothing is deleted by rules that were not understood."""
    write_settled(tmp_path / RETENTION_FILE, text)
    with pytest.raises(ConfigurationError, match=RETENTION_FILE) as raised:
        load_rules(tmp_path)
    assert named in raised.value.message
