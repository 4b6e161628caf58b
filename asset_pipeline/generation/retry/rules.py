"""What to do about each class of failure, as ``retry_rules.yaml`` says it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from functools import cached_property

from pydantic import BaseModel, ConfigDict, Field, model_validator

from asset_pipeline.generation.failures import ErrorClass
from asset_pipeline.ledger.breaker_machine import BreakerRules

# A provider that asks for longer is asked again by the next run: a step that waits holds its run.
LONGEST_RETRY_AFTER = 900.0


class Strategy(StrEnum):
    """What may be done about a failure."""

    IMMEDIATE_RETRY = "immediate_retry"  # the same request, at once
    DELAYED_RETRY = "delayed_retry"  # the same request, after the base delay
    EXPONENTIAL_BACKOFF = "exponential_backoff"  # the same request, after a wait that grows
    SIMPLIFIED_PROMPT = "simplified_prompt"  # the prompt with terms dropped or replaced
    REWRITTEN_PROMPT = "rewritten_prompt"  # the prompt as a language model rewrote it, paid for
    GENERIC_FALLBACK = "generic_fallback"  # one of the collection's generic prompts
    MODEL_FALLBACK = "model_fallback"  # the next fallback of the prompt's model
    FAIL = "fail"


REPEATS = (Strategy.IMMEDIATE_RETRY, Strategy.DELAYED_RETRY, Strategy.EXPONENTIAL_BACKOFF)
"""The strategies that send the same request again."""


class _Written(BaseModel):
    # Unknown fields are refused: a misspelt `max_atempts` would otherwise bound nothing.
    model_config = ConfigDict(frozen=True, extra="forbid")


class ClassRule(_Written):
    """What is done about one class of failure; the strategies are taken in their order."""

    strategies: tuple[Strategy, ...] = Field(min_length=1)
    max_attempts: int = Field(
        1, ge=1, le=20, description="At one request, the first among them; per run."
    )
    base_delay_seconds: float = Field(2.0, ge=0, le=3600)
    max_delay_seconds: float = Field(60.0, ge=0, le=3600)
    exponential_base: float = Field(2.0, ge=1, le=10)
    jitter: float = Field(0.2, ge=0, le=1, description="Up to so much longer or shorter: 0.2 = 20%")
    honour_retry_after: bool = Field(
        True, description="Wait at least as long as the provider asks."
    )

    @model_validator(mode="after")
    def _check_coherence(self) -> ClassRule:
        if len(set(self.strategies)) != len(self.strategies):
            raise ValueError("strategies names one twice")
        if Strategy.FAIL in self.strategies[:-1]:
            raise ValueError("strategies has others after 'fail', which ends it")
        if self.max_delay_seconds < self.base_delay_seconds:
            raise ValueError("max_delay_seconds is less than base_delay_seconds")
        return self

    def repeat(self, attempts: int) -> Strategy | None:
        """Return how the same request is repeated after so many attempts; None: not any more.

        Of several ways to repeat, each has its turn, and the last goes on.
        """
        ways = [strategy for strategy in self.strategies if strategy in REPEATS]
        if not ways or attempts >= self.max_attempts:
            return None
        return ways[min(attempts, len(ways)) - 1]

    def wait(
        self, strategy: Strategy, attempts: int, *, retry_after: float | None, chance: float
    ) -> float:
        """Return the seconds before the next attempt at the same request.

        Args:
            strategy: One of :data:`REPEATS`.
            attempts: How many there were.
            retry_after: What the provider asked for.
            chance: From 0 to 1, for the jitter.
        """
        wait = 0.0
        if strategy is Strategy.DELAYED_RETRY:
            wait = self.base_delay_seconds
        elif strategy is Strategy.EXPONENTIAL_BACKOFF:
            ways = [way for way in self.strategies if way in REPEATS]
            turn = max(0, attempts - 1 - ways.index(strategy))
            wait = self.base_delay_seconds * self.exponential_base**turn
        wait = min(wait, self.max_delay_seconds) * (1 + self.jitter * (2 * chance - 1))
        asked = retry_after if self.honour_retry_after and retry_after is not None else 0.0
        return max(wait, asked)


class Simplification(_Written):
    """Terms that a simplified prompt leaves out; whole words, in any case."""

    drop: tuple[str, ...] = ()
    replace: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check_terms(self) -> Simplification:
        if not all(term.strip() for term in (*self.drop, *self.replace)):
            raise ValueError("a term is empty")
        return self

    def apply(self, text: str) -> str:
        """Return the text without its terms; the same text when it has none of them."""
        if self._terms is None:
            return text
        simple = self._terms.sub(self._instead, text)
        if simple == text:
            return text
        simple = re.sub(r"[ \t]{2,}", " ", simple)
        return re.sub(r"[ \t]+([,.;:!?])", r"\1", simple).strip(" \t,;:")

    def _instead(self, found: re.Match[str]) -> str:
        word = self._words[found["term"].casefold()]
        # With a dropped word goes its comma: "a bloody, violent battle" is "a battle".
        return f"{word}{found['comma'] or ''}" if word else ""

    @cached_property
    def _words(self) -> Mapping[str, str]:
        dropped = {term.strip().casefold(): "" for term in self.drop}
        replaced = {term.strip().casefold(): word for term, word in self.replace.items()}
        return {**dropped, **replaced}

    @cached_property
    def _terms(self) -> re.Pattern[str] | None:
        # The longest first, so that "blood red" is found before "blood".
        words = sorted(map(re.escape, self._words), key=len, reverse=True)
        if not words:
            return None
        pattern = rf"(?<!\w)(?P<term>{'|'.join(words)})(?!\w)(?P<comma>\s*,)?"
        return re.compile(pattern, re.IGNORECASE)


class RetryRules(_Written):
    """The whole file."""

    max_total_retries: int = Field(
        ge=0, le=100, description="Of one clip in one run, whatever the classes of its failures."
    )
    classes: dict[ErrorClass, ClassRule]
    simplify: Simplification = Simplification()
    breaker: BreakerRules = BreakerRules()

    @model_validator(mode="after")
    def _check_classes(self) -> RetryRules:
        missing = [each.value for each in ErrorClass if each not in self.classes]
        if missing:
            raise ValueError(f"classes has no rule for {', '.join(missing)}")
        if self.classes[ErrorClass.BUDGET].strategies != (Strategy.FAIL,):
            # After a budget refused, a batch sends nothing new, so a retry could do nothing.
            raise ValueError("classes.budget can only fail: raise the cap instead")
        return self
