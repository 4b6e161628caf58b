"""How an incomplete batch ends: named failures, and a retry where one can help."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import dagster as dg
from dagster import MetadataValue

from asset_pipeline.defs._dagster_private import RETRY_ON_ASSET_OR_OP_FAILURE_TAG
from asset_pipeline.defs.markdown import shown, table
from asset_pipeline.generation.batch import PromptOutcome
from asset_pipeline.generation.failures import ErrorClass, GenerationFailure
from asset_pipeline.generation.retry.rules import RetryRules
from asset_pipeline.ledger.failed_prompts import HowEnded
from asset_pipeline.money import format_usd

# The failures again, for machines: an alert says from them what failed and what to do.
FAILED_BY_CLASS = "failed_by_class"

ENDED_TAG = "asset_pipeline/ended"
"""On a run and on a partition's last event: failed, refused by a budget, or cancelled.

Dagster has one word for the three.
"""

_ENDED = {
    HowEnded.FAILED: "failed",
    HowEnded.REFUSED: "refused by a budget: the next run goes on with it",
    HowEnded.CANCELLED: "cancelled: the next run goes on with it",
}

_NAMED = 20
_TABLED = 500


def retry_policy(rules: RetryRules) -> dg.RetryPolicy:
    """Return the retry policy of a step that breaks with no class: that of server errors.

    What failed by class never gets here: it carries its own wait, or forbids retries.
    """
    rule = rules.classes[ErrorClass.SERVER_ERROR]
    return dg.RetryPolicy(
        max_retries=rules.max_total_retries,
        delay=rule.base_delay_seconds,
        backoff=dg.Backoff.EXPONENTIAL,
        jitter=dg.Jitter.PLUS_MINUS if rule.jitter else None,
    )


def failure_of(
    failed: Sequence[PromptOutcome], *, retry_number: int, max_retries: int
) -> dg.Failure | dg.RetryRequested:
    """Return what to raise for the prompts that did not land.

    Args:
        failed: At least one.
        retry_number: How often the step was retried before.
        max_retries: How often it may be.

    Returns:
        A retry after the longest wait of the clips that have one coming; else a final failure.
    """
    waits = [
        cause.again_after
        for outcome in failed
        for cause in outcome.failures
        if cause.again_after is not None
    ]
    failure = _final(failed)
    if not waits or retry_number >= max_retries:
        return failure
    retry = dg.RetryRequested(max_retries=max_retries, seconds_to_wait=max(waits))
    # The event of the retry shows it: what failed so far, and why.
    retry.__cause__ = failure
    return retry


def keep_run_from_retries(context: dg.AssetExecutionContext) -> None:
    """Tag the run so that Dagster does not retry it: the failed step had its retries.

    Forbidding the step's retries does not do that. It holds whatever the instance is set to.
    """
    context.instance.add_run_tags(context.run.run_id, {RETRY_ON_ASSET_OR_OP_FAILURE_TAG: "false"})


def tag_ended(context: dg.AssetExecutionContext, outcomes: Sequence[PromptOutcome]) -> None:
    """Tag the run by how it ended its prompts: failed, refused, cancelled."""
    hows = sorted({outcome.how for outcome in outcomes})
    context.instance.add_run_tags(context.run.run_id, {ENDED_TAG: ", ".join(hows)})


def failed_partition(outcome: PromptOutcome, asset_key: dg.AssetKey) -> dg.AssetObservation:
    """Return the event that says on a partition's own page why it failed and what to do."""
    cause = _first(outcome)
    stake = outcome.stake
    told: dict[str, Any] = {
        "ended": MetadataValue.text(_ENDED[outcome.how]),
        "failed": MetadataValue.text(cause.error_class.value),
        "message": MetadataValue.text(cause.message),
        "cause": MetadataValue.text(cause.cause),
        "next_step": MetadataValue.text(cause.hint),
        "attempts": MetadataValue.int(0 if stake is None else stake.attempts),
        "money_at_stake": MetadataValue.text(_at_stake(outcome)),
    }
    if cause.prediction_id:
        told["prediction_id"] = MetadataValue.text(cause.prediction_id)
    return dg.AssetObservation(
        asset_key,
        partition=outcome.prompt.prompt_id,
        metadata=told,
        tags={ENDED_TAG: outcome.how.value},
    )


def _final(failed: Sequence[PromptOutcome]) -> dg.Failure:
    breach = next((outcome.budget for outcome in failed if outcome.budget), None)
    described = [_line(outcome) for outcome in failed[:_NAMED]]
    if len(failed) > _NAMED:
        described.append(f"... and {len(failed) - _NAMED} more")
    heading = _heading(failed)
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
        allow_retries=False,
    )


def _heading(failed: Sequence[PromptOutcome]) -> str:
    """Return how many prompts failed, were refused or were stopped."""
    counts = Counter(outcome.how for outcome in failed)
    parts: list[str] = []
    if count := counts[HowEnded.FAILED]:
        parts.append(f"{count} prompt{'s' if count != 1 else ''} failed")
    if count := counts[HowEnded.REFUSED]:
        parts.append(f"{count} prompt{'s were' if count != 1 else ' was'} refused by a budget")
    if count := counts[HowEnded.CANCELLED]:
        parts.append(f"{count} prompt{'s were' if count != 1 else ' was'} cancelled")
    return ", ".join(parts)


def _line(outcome: PromptOutcome) -> str:
    cause = _first(outcome)
    return f"{outcome.prompt.prompt_id} ({cause.error_class}: {cause.message[:200]})"


def _table(failed: Sequence[PromptOutcome]) -> str:
    rows: list[tuple[str, ...]] = []
    for outcome in failed[:_TABLED]:
        cause = _first(outcome)
        attempts = 0 if outcome.stake is None else outcome.stake.attempts
        texts = (outcome.prompt.prompt_id, cause.error_class, cause.message, attempts)
        rows.append((*map(shown, texts), _at_stake(outcome), shown(cause.hint)))
    return table(
        ("prompt", "class", "what happened", "attempts", "money at stake", "next step"), rows
    )


def _at_stake(outcome: PromptOutcome) -> str:
    """Return what a prompt cost without a clip and what it still holds, in a few words."""
    stake = outcome.stake
    if stake is None or not (stake.charged or stake.reserved):
        return "nothing"
    parts: list[str] = []
    if stake.charged:
        parts.append(f"{format_usd(stake.charged)} charged")
    if stake.reserved:
        parts.append(f"{format_usd(stake.reserved)} held")
    return ", ".join(parts)


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
