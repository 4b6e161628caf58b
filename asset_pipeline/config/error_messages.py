"""Pydantic's objections in the words of someone who writes YAML."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from asset_pipeline.config.suggestions import did_you_mean

_MESSAGES = {
    "missing": "it is missing",
    "string_type": "it must be text; put it in quotes",
    "int_type": "it must be a whole number",
    "list_type": "it must be a list",
    "dict_type": "it must be a mapping of names to values",
    "model_type": "it must be a mapping of fields",
}


MOST_TOLD = 20
"""How many faults of one thing are put into words, which takes some 50 us each; nobody reads on."""


def first_issues(error: ValidationError) -> list[ErrorDetails]:
    """Return what is wrong with a configuration, as far as it is told."""
    return error.errors(include_url=False)[:MOST_TOLD]


def complaint(issue: ErrorDetails, fields: Iterable[str]) -> tuple[str, str]:
    """Return what is wrong, as a sentence, and a hint.

    Args:
        issue: One of ``ValidationError.errors()``.
        fields: The fields there are where the issue is, to name the one that was meant.
    """
    if issue["type"] == "extra_forbidden":
        return "there is no such field.", did_you_mean(str(issue["loc"][-1]), fields)
    if issue["type"] == "literal_error":
        return f"{issue['input']!r} is not one of {issue.get('ctx', {})['expected']}.", ""
    message = _MESSAGES.get(issue["type"], issue["msg"].removeprefix("Value error, "))
    return f"{message.removesuffix('.')}.", ""
