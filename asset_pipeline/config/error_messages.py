"""Pydantic's objections in the words of someone who writes YAML."""

from __future__ import annotations

from collections.abc import Iterable

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
