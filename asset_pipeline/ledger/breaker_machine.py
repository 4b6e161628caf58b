"""The circuit breaker of a model, as pure rules: what each outcome makes of it, and who may send.

Closed, predictions are asked for freely and failures in a row are counted, those of creates and
those of predictions apart: a create is answered at once and a prediction minutes later, so that in
one count the failures of the fast would be seen before the successes of the slow. Too many in a row
open it, and nothing is sent until its time is up. Then it is half-open: one prediction, the probe,
tries whether the model works again, and what becomes of it closes the breaker or opens it again,
for longer each time.

Every change of state raises the epoch. What was sent in an earlier epoch says nothing about this
one, so that a late failure of before the outage cannot open a breaker that a probe has closed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from asset_pipeline.ledger.schema import BreakerState

MAX_ERROR_LENGTH = 500

# Failures that lie so far apart are no run of them: a batch that ended with four on Monday must not
# make the first one on Friday open the breaker.
_MEMORY = timedelta(minutes=10)


class BreakerRules(BaseModel):
    """When a model's breaker opens, and for how long; times are seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    failure_threshold: int = Field(
        default=5,
        ge=1,
        description="Failures in a row, of creates or of predictions, that open it.",
    )
    open_seconds: float = Field(
        default=10, gt=0, description="How long it stays open the first time."
    )
    max_open_seconds: float = Field(
        default=60, gt=0, description="Each failed probe doubles the time, up to this."
    )
    probe_seconds: float = Field(
        default=30,
        ge=1,
        description="How long a prober that is not heard of any more keeps others from probing.",
    )
    give_up_seconds: float = Field(
        default=600,
        ge=0,
        description="After so long without a success, what waits for the model fails for now.",
    )

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.max_open_seconds < self.open_seconds:
            raise ValueError("max_open_seconds is less than open_seconds")
        return self


class Outcome(StrEnum):
    """How a request ended, as far as it shows the model's health."""

    ACCEPTED = "accepted"  # the create was answered with a prediction
    MADE = "made"  # the prediction ended, and not by a fault of the provider's
    ANSWERED = "answered"  # refused for a reason of its own, by a provider that is well
    CREATE_FAILED = "create_failed"
    PREDICTION_FAILED = "prediction_failed"
    NOTHING = "nothing"  # cancelled, throttled, never sent: it says nothing


@dataclass(frozen=True, slots=True)
class Breaker:
    """One row of ``breakers``."""

    model: str
    state: BreakerState
    epoch: int
    create_failures: int
    prediction_failures: int
    openings: int
    last_error_class: str | None
    last_error: str | None
    last_failure_at: datetime | None
    opened_at: datetime | None
    retry_at: datetime | None
    probe_owner: str | None
    probe_expires_at: datetime | None
    updated_at: datetime

    @property
    def failures(self) -> int:
        """Failures in a row of the worse kind."""
        return max(self.create_failures, self.prediction_failures)

    def held_until(self, now: datetime) -> datetime | None:
        """Return until when nothing may be sent; None when something may.

        While a probe is on its way that is its expiry, though its outcome mostly comes sooner.
        """
        if self.state is BreakerState.OPEN:
            until = self.retry_at
        elif self.state is BreakerState.HALF_OPEN:
            until = self.probe_expires_at
        else:
            return None
        return until if until is not None and until > now else None


@dataclass(frozen=True, slots=True)
class Failure:
    """What a failure is remembered by."""

    error_class: str
    message: str


@dataclass(frozen=True, slots=True)
class Permit:
    """The right to send one create.

    Attributes:
        epoch: The breaker's when it was given; the outcome counts in that epoch alone.
        is_probe: Whether it is the one that a half-open breaker lets through.
    """

    model: str
    epoch: int
    is_probe: bool


def closed(model: str, now: datetime) -> Breaker:
    """Return a new model's breaker, which is closed."""
    return Breaker(
        model=model,
        state=BreakerState.CLOSED,
        epoch=0,
        create_failures=0,
        prediction_failures=0,
        openings=0,
        last_error_class=None,
        last_error=None,
        last_failure_at=None,
        opened_at=None,
        retry_at=None,
        probe_owner=None,
        probe_expires_at=None,
        updated_at=now,
    )


def admit(
    breaker: Breaker, owner: str, now: datetime, rules: BreakerRules
) -> tuple[Breaker, Permit | None]:
    """Ask for the right to send; return the breaker as it is then, and the permit if there is one.

    A half-open breaker's only permit is a claim of its own: it names who probes, and expires, so
    that a prober that was killed does not keep all others waiting.
    """
    if breaker.state is BreakerState.CLOSED:
        return breaker, Permit(breaker.model, breaker.epoch, is_probe=False)
    if breaker.held_until(now) is not None:
        return breaker, None
    # A lapsed prober's outcome must not count any more: its epoch ends here.
    claimed = replace(
        breaker,
        state=BreakerState.HALF_OPEN,
        epoch=breaker.epoch + 1,
        retry_at=None,
        probe_owner=owner,
        probe_expires_at=now + timedelta(seconds=rules.probe_seconds),
        updated_at=now,
    )
    return claimed, Permit(breaker.model, claimed.epoch, is_probe=True)


def renew(breaker: Breaker, permit: Permit, now: datetime, rules: BreakerRules) -> Breaker:
    """Return the breaker with its probe's claim prolonged; a lapsed claim stays lapsed."""
    if breaker.epoch != permit.epoch or breaker.probe_owner is None:
        return breaker
    until = now + timedelta(seconds=rules.probe_seconds)
    return replace(breaker, probe_expires_at=until, updated_at=now)


def after(
    breaker: Breaker,
    permit: Permit,
    outcome: Outcome,
    now: datetime,
    rules: BreakerRules,
    failure: Failure | None = None,
) -> Breaker:
    """Return a breaker after an outcome; the same object if nothing changes.

    Args:
        breaker: As it stands.
        permit: What was sent by.
        outcome: What became of it.
        now: The time of the change.
        rules: When it opens and for how long.
        failure: What a failure is remembered by.
    """
    if breaker.epoch != permit.epoch:
        return breaker
    if outcome in {Outcome.CREATE_FAILED, Outcome.PREDICTION_FAILED}:
        return _after_failure(breaker, outcome, now, rules, failure)
    if breaker.state is BreakerState.HALF_OPEN:
        return _after_probe(breaker, outcome, now)
    if outcome in {Outcome.ACCEPTED, Outcome.ANSWERED} and breaker.create_failures:
        return replace(breaker, create_failures=0, updated_at=now)
    if outcome is Outcome.MADE and breaker.prediction_failures:
        return replace(breaker, prediction_failures=0, updated_at=now)
    return breaker


def reset(breaker: Breaker, now: datetime) -> Breaker:
    """Return the breaker closed, because a probe succeeded or a person says so."""
    fresh = closed(breaker.model, now)
    return replace(
        fresh,
        epoch=breaker.epoch + 1,
        last_error_class=breaker.last_error_class,
        last_error=breaker.last_error,
        last_failure_at=breaker.last_failure_at,
    )


def _after_probe(breaker: Breaker, outcome: Outcome, now: datetime) -> Breaker:
    if outcome in {Outcome.MADE, Outcome.ANSWERED}:
        return reset(breaker, now)
    if outcome is Outcome.NOTHING:
        # Another process may probe at once.
        freed = replace(breaker, probe_owner=None, probe_expires_at=None)
        return replace(freed, epoch=breaker.epoch + 1, updated_at=now)
    return breaker  # accepted: whether the model can make it is still to be seen


def _after_failure(
    breaker: Breaker, outcome: Outcome, now: datetime, rules: BreakerRules, failure: Failure | None
) -> Breaker:
    known = failure or Failure("unknown", "")
    last = breaker.last_failure_at
    if last is not None and now - last > _MEMORY:
        breaker = replace(breaker, create_failures=0, prediction_failures=0)
    counted = replace(
        breaker,
        create_failures=breaker.create_failures + (outcome is Outcome.CREATE_FAILED),
        prediction_failures=breaker.prediction_failures + (outcome is Outcome.PREDICTION_FAILED),
        last_error_class=known.error_class,
        last_error=known.message[:MAX_ERROR_LENGTH],
        last_failure_at=now,
        updated_at=now,
    )
    is_closed = breaker.state is BreakerState.CLOSED
    if is_closed and counted.failures < rules.failure_threshold:
        return counted
    # The exponent is bounded before it is used: 2.0 ** 2000 overflows.
    seconds = rules.open_seconds * 2.0 ** min(breaker.openings, 32)
    return replace(
        counted,
        state=BreakerState.OPEN,
        epoch=breaker.epoch + 1,
        openings=breaker.openings + 1,
        opened_at=now if is_closed else breaker.opened_at,
        retry_at=now + timedelta(seconds=min(seconds, rules.max_open_seconds)),
        probe_owner=None,
        probe_expires_at=None,
    )
