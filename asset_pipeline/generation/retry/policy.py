"""What to do about a failure: a pure decision over the rules and the attempts so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from asset_pipeline.generation.failures import ErrorClass, GenerationFailure, HeldBackFailure
from asset_pipeline.generation.request import GenerationRequest
from asset_pipeline.generation.retry.fallbacks import FallbackPlanner, IsOpen
from asset_pipeline.generation.retry.rules import LONGEST_RETRY_AFTER, RetryRules, Strategy
from asset_pipeline.ledger.schema import IntentState

# Being throttled is pace, not failure; what was stopped before it was sent was no attempt.
_UNCOUNTED = frozenset({ErrorClass.RATE_LIMIT, ErrorClass.CANCELLED})


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that failed: at which generation, and with which class."""

    generation_hash: str
    error_class: ErrorClass


@dataclass(frozen=True, slots=True)
class Past:
    """A clip's attempts so far in this run.

    Attributes:
        attempts: Those that failed, in order, this one the last.
        earlier_tries: How often the step was retried before. It bounds what the ledger shows no
            end of: a throttled create, and an intent that stays open.
    """

    attempts: Sequence[Attempt]
    earlier_tries: int


@dataclass(frozen=True, slots=True)
class RetrySame:
    """Repeat the same request after so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Substitute:
    """Make this request instead, at once."""

    request: GenerationRequest


@dataclass(frozen=True, slots=True)
class Rewrite:
    """Ask a language model for another text, then decide again."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Nothing more is done in this run."""


def decide(
    failure: GenerationFailure,
    now: GenerationRequest,
    past: Past,
    rules: RetryRules,
    ways: FallbackPlanner,
    *,
    is_open: IsOpen,
    chance: float,
) -> RetrySame | Substitute | Rewrite | Stop:
    """Return what to do after a failure.

    While an intent stays open only the same request may go on: its clip may be paid for already,
    and another way to it would be a second payment.

    Args:
        failure: What happened.
        now: The request that failed.
        past: What happened before, and this.
        rules: The rules in force.
        ways: The other ways to the clip.
        is_open: Whether a model's breaker is open.
        chance: From 0 to 1, for the jitter.
    """
    rule = rules.classes[failure.error_class]
    if failure.left is IntentState.QUESTION:
        return Stop()  # a person has to decide
    if isinstance(failure, HeldBackFailure):
        return _held_back(failure, now, rules, ways, is_open)
    if _counted(past.attempts) > rules.max_total_retries:
        return Stop()
    tried = {attempt.generation_hash for attempt in past.attempts}
    attempts = _attempts_at(now, failure, past)
    for strategy in rule.strategies:
        if strategy is rule.repeat(attempts):
            wait = rule.wait(strategy, attempts, retry_after=failure.retry_after, chance=chance)
            return RetrySame(wait) if wait <= LONGEST_RETRY_AFTER else Stop()
        if failure.left is None:
            other = _another(strategy, now, rules, ways, is_open)
            if other is not None and not (
                isinstance(other, Substitute) and other.request.generation_hash in tried
            ):
                return other
    return Stop()


def _another(
    strategy: Strategy,
    now: GenerationRequest,
    rules: RetryRules,
    ways: FallbackPlanner,
    is_open: IsOpen,
) -> Substitute | Rewrite | None:
    request = None
    match strategy:
        case Strategy.SIMPLIFIED_PROMPT:
            request = ways.simplified(now, rules.simplify)
        case Strategy.REWRITTEN_PROMPT if ways.may_rewrite(now):
            return Rewrite()
        case Strategy.REWRITTEN_PROMPT:
            request = ways.rewritten(now)
        case Strategy.GENERIC_FALLBACK:
            request = ways.generic(now)
        case Strategy.MODEL_FALLBACK:
            request = ways.fallback(now, is_open)
        case _:
            pass
    return None if request is None else Substitute(request)


def _held_back(
    failure: HeldBackFailure,
    now: GenerationRequest,
    rules: RetryRules,
    ways: FallbackPlanner,
    is_open: IsOpen,
) -> RetrySame | Substitute | Stop:
    """Go to a fallback where the rules of a failing server allow one; else wait for the breaker.

    It was no attempt, so it counts as none: the retries of the step bound the waiting.
    """
    allowed = Strategy.MODEL_FALLBACK in rules.classes[ErrorClass.SERVER_ERROR].strategies
    request = ways.fallback(now, is_open) if allowed and failure.left is None else None
    return RetrySame(failure.retry_after or 0.0) if request is None else Substitute(request)


def _counted(attempts: Sequence[Attempt]) -> int:
    """Return how many attempts count as such."""
    return sum(attempt.error_class not in _UNCOUNTED for attempt in attempts)


def _attempts_at(now: GenerationRequest, failure: GenerationFailure, past: Past) -> int:
    here = Attempt(now.generation_hash, failure.error_class)
    seen = sum(attempt == here for attempt in past.attempts)
    unseen = failure.left is not None or failure.error_class is ErrorClass.RATE_LIMIT
    return max(seen, past.earlier_tries + 1) if unseen else seen
