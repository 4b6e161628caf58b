"""How a batch that is not whole ends: named failures, and a retry only where one makes sense."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dagster as dg
from dagster import MetadataValue

from asset_pipeline.generation.batch import PromptOutcome
from asset_pipeline.generation.failures import ErrorClass, GenerationFailure

_WORTH_A_RETRY = frozenset(
    {ErrorClass.SERVER_ERROR, ErrorClass.RATE_LIMIT, ErrorClass.NETWORK, ErrorClass.TIMEOUT}
)

# The failures again, for machines: an alert says from them what failed and what to do.
FAILED_BY_CLASS = "failed_by_class"

_NAMED = 20
_TABLED = 500

# Dagster waits in the worker's own process; a provider that asks for longer is asked again by the
# next run.
_LONGEST_WAIT_SECONDS = 300.0


def failure_of(
    failed: Sequence[PromptOutcome], *, retries_left: int
) -> dg.Failure | dg.RetryRequested:
    """Return what to raise for the prompts that did not land.

    Args:
        failed: At least one.
        retries_left: How many retries the step's policy still allows.

    Returns:
        A failure that Dagster's retry policy may retry, when another attempt can help some of
        them; a retry with its own wait, when the provider named one; else a final failure.
    """
    causes = [cause for outcome in failed for cause in outcome.failures]
    retryable = any(cause.error_class in _WORTH_A_RETRY for cause in causes)
    waits = [
        cause.retry_after
        for cause in causes
        if cause.error_class in _WORTH_A_RETRY and cause.retry_after
    ]
    if waits and retries_left > 0:
        return dg.RetryRequested(
            max_retries=retries_left, seconds_to_wait=min(max(waits), _LONGEST_WAIT_SECONDS)
        )
    breach = next((outcome.budget for outcome in failed if outcome.budget), None)
    described = [_line(outcome) for outcome in failed[:_NAMED]]
    if len(failed) > _NAMED:
        described.append(f"... and {len(failed) - _NAMED} more")
    heading = f"{len(failed)} prompt{'s' if len(failed) != 1 else ''} failed"
    metadata: dict[str, Any] = {
        "failed": MetadataValue.int(len(failed)),
        "failed_prompts": MetadataValue.md(_table(failed)),
        FAILED_BY_CLASS: MetadataValue.json(_by_class(failed)),
    }
    if breach is not None:
        heading = f"{breach} {heading}"
        metadata["budget"] = MetadataValue.text(str(breach))
    return dg.Failure(
        description=f"{heading}: {'; '.join(described)}",
        metadata=metadata,
        allow_retries=retryable and breach is None,
    )


def _line(outcome: PromptOutcome) -> str:
    cause = _first(outcome)
    return f"{outcome.prompt.prompt_id} ({cause.error_class}: {cause.message[:200]})"


def _table(failed: Sequence[PromptOutcome]) -> str:
    rows = ["| prompt | class | what happened | what to do |", "|---|---|---|---|"]
    for outcome in failed[:_TABLED]:
        cause = _first(outcome)
        what = cause.message[:500].replace("|", "\\|").replace("\n", " ")
        rows.append(f"| {outcome.prompt.prompt_id} | {cause.error_class} | {what} | {cause.hint} |")
    return "\n".join(rows)


def _by_class(failed: Sequence[PromptOutcome]) -> dict[str, Any]:
    """Return, by class, how many prompts failed, which the first of them are, and what to do."""
    found: dict[str, Any] = {}
    for outcome in failed:
        cause = _first(outcome)
        entry = found.setdefault(
            cause.error_class.value, {"count": 0, "prompts": [], "next": cause.hint}
        )
        entry["count"] += 1
        if len(entry["prompts"]) < _NAMED:
            entry["prompts"].append(outcome.prompt.prompt_id)
    return found


def _first(outcome: PromptOutcome) -> GenerationFailure:
    return outcome.failures[0]
