"""``retry_rules.yaml`` to :class:`RetryRules`: the packaged file, under the user's own.

A user's file has the same form and says only what it changes: a class is overridden field by
field.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from importlib import resources
from pathlib import Path

from pydantic import JsonValue, ValidationError
from pydantic_core import ErrorDetails

from asset_pipeline.config.error_messages import complaint, first_issues
from asset_pipeline.config.guarded_file import GuardedFile, Memory
from asset_pipeline.config.overlays import overlaid
from asset_pipeline.config.yaml_source import read_configuration
from asset_pipeline.errors import ConfigurationError
from asset_pipeline.generation.failures import ErrorClass
from asset_pipeline.generation.retry.rules import ClassRule, RetryRules, Simplification, Strategy
from asset_pipeline.ledger.breaker_machine import BreakerRules

RULES_FILE = "retry_rules.yaml"

_log = logging.getLogger(__name__)


def load_rules(config_dir: Path | None) -> RetryRules:
    """Read the packaged rules, overlaid with ``<config_dir>/retry_rules.yaml`` if there is one.

    Raises:
        ConfigurationError: A file is wrong; the error names file and field.
    """
    packaged = resources.files("asset_pipeline.generation.retry").joinpath(RULES_FILE)
    with resources.as_file(packaged) as path:
        document = _read(path, label=RULES_FILE)
    label = RULES_FILE
    if config_dir is not None and (config_dir / RULES_FILE).exists():
        label = str(config_dir / RULES_FILE)
        document = overlaid(document, _read(config_dir / RULES_FILE, label=label))
    try:
        return RetryRules.model_validate(document)
    except ValidationError as error:
        raise ConfigurationError(
            f"{label}: {' '.join(_sentences(error))}",
            hint="docs/failures.md shows the form; `retry_rules.yaml` in the package is complete.",
        ) from None


class RulesSource:
    """Reads the rules, and reads them again when the file moved.

    Args:
        config_dir: The folder of the user's own file.
        memory: Knows whether a missing file was in force before.

    Raises:
        ConfigurationError: The file is wrong at the start, or was in force and is gone: without it
            more attempts may be paid for than somebody wrote down.
    """

    def __init__(self, config_dir: Path, memory: Memory | None = None) -> None:
        self._config_dir = config_dir
        self._file = GuardedFile(config_dir / RULES_FILE, memory)
        self._file.has_news()
        self._rules = load_rules(config_dir)
        self._file.taken()
        self._complaint = ""

    def current(self) -> RetryRules:
        """Return the rules in force now.

        A file that becomes invalid or is deleted changes nothing: running work continues
        on by the rules as they were, and the log says once what is wrong.
        """
        try:
            if self._file.has_news():
                self._rules = load_rules(self._config_dir)
                self._file.taken()
                self._complaint = ""
        except ConfigurationError as error:
            if str(error) != self._complaint:
                self._complaint = str(error)
                _log.warning("%s The rules stay as they were.", error)
        return self._rules


def _read(path: Path, *, label: str) -> dict[str, JsonValue]:
    written = read_configuration(path, label=label)
    value = {} if written is None else written
    if not isinstance(value, dict):
        raise ConfigurationError(
            f"{label}: the file is not a mapping of fields.",
            hint=f"Its fields are {', '.join(RetryRules.model_fields)}.",
        )
    return value


def _sentences(error: ValidationError) -> Iterator[str]:
    for issue in first_issues(error):
        where = ".".join(str(step) for step in issue["loc"] if step != "[key]")
        message, hint = _complaint(issue)
        yield f"{where}: {message} {hint}".removeprefix(": ").rstrip()


def _complaint(issue: ErrorDetails) -> tuple[str, str]:
    if issue["type"] == "enum":
        known = Strategy if "strategies" in issue["loc"] else ErrorClass
        return f"{issue['input']!r} is not known.", f"There are {', '.join(known)}."
    return complaint(issue, _fields_beside(issue["loc"]))


def _fields_beside(location: tuple[int | str, ...]) -> Iterable[str]:
    match location:
        case ("classes", _, _):
            return ClassRule.model_fields
        case ("simplify", _):
            return Simplification.model_fields
        case ("breaker", _):
            return BreakerRules.model_fields
        case _:
            return RetryRules.model_fields
