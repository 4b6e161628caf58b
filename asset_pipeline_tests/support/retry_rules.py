"""The packaged retry rules without their waits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from asset_pipeline.generation.failures import ErrorClass
from asset_pipeline.generation.retry.rules import RetryRules
from asset_pipeline.generation.retry.rules_file import RULES_FILE, load_rules
from asset_pipeline_tests.support.settled_files import write_settled


def rules_without_waits(**classes: dict[str, Any]) -> RetryRules:
    """Return the packaged rules with no delays, but for what is given of some classes."""
    document = load_rules(None).model_dump(mode="json")
    at_once = {"base_delay_seconds": 0, "max_delay_seconds": 0}
    for name, rule in document["classes"].items():
        rule.update(at_once | classes.get(name, {}))
    return RetryRules.model_validate(document)


def no_retries() -> RetryRules:
    """Return rules by which every failure is final."""
    final = {each.value: {"strategies": ["fail"]} for each in ErrorClass}
    return rules_without_waits(**final)


def write_rules(folder: Path, rules: RetryRules) -> None:
    """Write rules as a user's own file."""
    write_settled(folder / RULES_FILE, yaml.safe_dump(rules.model_dump(mode="json")))
