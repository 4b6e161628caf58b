"""The breaker's rules: a machine that lives through random outcomes, and the cases that matter."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from asset_pipeline.ledger import breaker_machine as machine
from asset_pipeline.ledger.breaker_machine import (
    Breaker,
    BreakerRules,
    Failure,
    Outcome,
    Permit,
)
from asset_pipeline.ledger.schema import BreakerState
from asset_pipeline_tests.support.clocks import NOON, FakeClock

MODEL = "black-forest-labs/flux-schnell"
RULES = BreakerRules(failure_threshold=3, open_seconds=10, max_open_seconds=40, probe_seconds=30)
DOWN = Failure("server_error", "HTTP 503")
FAILURES = (Outcome.CREATE_FAILED, Outcome.PREDICTION_FAILED)
State = BreakerState


class Life(RuleBasedStateMachine):
    """A breaker asked, told and left alone by five processes at random."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.breaker = machine.closed(MODEL, NOON)
        self.sent: list[Permit] = []
        self.in_a_row = dict.fromkeys(FAILURES, 0)

    @rule(owner=st.integers(1, 5))
    def ask(self, owner: int) -> None:
        """Nothing is let through while it is open, and one probe while it is half-open."""
        before, now = self.breaker, self.clock.now()
        held = before.held_until(now) is not None
        self.breaker, permit = machine.admit(before, f"w{owner}", now, RULES)
        assert (permit is None) == held
        if permit is None:
            assert self.breaker is before
            return
        self.sent.append(permit)
        assert permit.is_probe == (before.state is not State.CLOSED)
        if permit.is_probe:
            assert self.breaker.probe_owner == f"w{owner}"
            assert self.breaker.held_until(now) == now + timedelta(seconds=RULES.probe_seconds)

    @precondition(lambda self: self.sent)
    @rule(which=st.integers(0, 9), outcome=st.sampled_from(Outcome))
    def tell(self, which: int, outcome: Outcome) -> None:
        """Only what was sent in this epoch counts."""
        permit = self.sent[-1 - which % len(self.sent)]
        before = self.breaker
        failure = DOWN if outcome in FAILURES else None
        after = machine.after(before, permit, outcome, self.clock.now(), RULES, failure)
        if permit.epoch != before.epoch:
            assert after is before
        elif before.state is State.CLOSED:
            self._count(outcome)
            too_many = max(self.in_a_row.values()) >= RULES.failure_threshold
            assert (after.state is State.OPEN) == too_many
        else:
            assert before.state is State.HALF_OPEN
            assert after.state is {
                Outcome.MADE: State.CLOSED,
                Outcome.ANSWERED: State.CLOSED,
                Outcome.ACCEPTED: State.HALF_OPEN,
                Outcome.NOTHING: State.HALF_OPEN,
            }.get(outcome, State.OPEN)
        self.breaker = after

    def _count(self, outcome: Outcome) -> None:
        if outcome in FAILURES:
            self.in_a_row[outcome] += 1
        elif outcome is Outcome.MADE:
            self.in_a_row[Outcome.PREDICTION_FAILED] = 0
        elif outcome in {Outcome.ACCEPTED, Outcome.ANSWERED}:
            self.in_a_row[Outcome.CREATE_FAILED] = 0

    @precondition(lambda self: self.breaker.probe_owner)
    @rule()
    def renew(self) -> None:
        """A living prober keeps its claim."""
        permit, now = self.sent[-1], self.clock.now()
        self.breaker = machine.renew(self.breaker, permit, now, RULES)
        assert self.breaker.held_until(now) is not None

    @rule(seconds=st.sampled_from([0.1, 5, 10, 30, 40]))
    def wait(self, seconds: float) -> None:
        """Time alone lets a probe through in the end, whoever was killed."""
        self.clock.advance(seconds)
        due = max(RULES.max_open_seconds, RULES.probe_seconds)
        assert self.breaker.held_until(self.clock.now() + timedelta(seconds=due)) is None

    @rule()
    def reset(self) -> None:
        """A person closes it, whatever state it is in."""
        self.breaker = machine.reset(self.breaker, self.clock.now())
        assert self.breaker.state is State.CLOSED

    @invariant()
    def it_is_whole(self) -> None:
        """What each state must have, as the table's constraints say too."""
        breaker = self.breaker
        if breaker.state is State.CLOSED:
            assert breaker.failures < RULES.failure_threshold
            if breaker.failures == 0:
                self.in_a_row = dict.fromkeys(FAILURES, 0)
            assert breaker.opened_at is None
        else:
            self.in_a_row = dict.fromkeys(FAILURES, 0)
            assert breaker.opened_at is not None
        assert (breaker.retry_at is not None) == (breaker.state is State.OPEN)
        assert (breaker.probe_owner is None) == (breaker.probe_expires_at is None)
        assert breaker.probe_owner is None or breaker.state is State.HALF_OPEN


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=150, stateful_step_count=40)


def failing(times: int, outcome: Outcome = Outcome.CREATE_FAILED) -> Breaker:
    """A breaker after so many failures in a row, a second apart."""
    breaker = machine.closed(MODEL, NOON)
    for turn in range(times):
        breaker, permit = machine.admit(breaker, "w", NOON + timedelta(seconds=turn), RULES)
        assert permit is not None
        at = NOON + timedelta(seconds=turn)
        breaker = machine.after(breaker, permit, outcome, at, RULES, DOWN)
    return breaker


def probed(breaker: Breaker, outcome: Outcome) -> Breaker:
    """A breaker after the next probe, sent as soon as it may be."""
    at = breaker.retry_at
    assert at is not None
    half_open, permit = machine.admit(breaker, "w", at, RULES)
    assert permit is not None
    return machine.after(half_open, permit, outcome, at, RULES, DOWN)


@pytest.mark.parametrize("outcome", FAILURES)
def test_the_threshold_opens_it_and_says_why(outcome: Outcome) -> None:
    """One failure less leaves it closed; the last one is remembered with its class and words."""
    assert failing(2, outcome).state is State.CLOSED
    breaker = failing(3, outcome)
    assert breaker.state is State.OPEN
    assert (breaker.last_error_class, breaker.last_error) == ("server_error", "HTTP 503")
    assert breaker.retry_at == NOON + timedelta(seconds=2 + RULES.open_seconds)


def test_failures_of_creates_and_predictions_are_not_added_up() -> None:
    """Two of each are no three in a row."""
    breaker = failing(2)
    permit = Permit(MODEL, breaker.epoch, is_probe=False)
    for _ in range(2):
        breaker = machine.after(breaker, permit, Outcome.PREDICTION_FAILED, NOON, RULES, DOWN)
    assert breaker.state is State.CLOSED


def test_accepted_creates_do_not_hide_that_all_predictions_fail() -> None:
    """A model that takes everything and makes nothing is found out."""
    breaker = machine.closed(MODEL, NOON)
    permit = Permit(MODEL, 0, is_probe=False)
    for outcome in [Outcome.ACCEPTED, Outcome.PREDICTION_FAILED] * 3:
        breaker = machine.after(breaker, permit, outcome, NOON, RULES, DOWN)
    assert breaker.state is State.OPEN


def test_each_failed_probe_doubles_the_wait_up_to_its_limit() -> None:
    """10, 20, 40 and again 40 seconds; how long it has been open is remembered."""
    breaker, waits = failing(3), list[float]()
    for _ in range(4):
        assert breaker.retry_at is not None
        waits.append((breaker.retry_at - breaker.updated_at).total_seconds())
        breaker = probed(breaker, Outcome.CREATE_FAILED)
    assert waits == [10, 20, 40, 40]
    assert breaker.opened_at == NOON + timedelta(seconds=2)


def test_a_probe_that_succeeds_closes_it_and_forgets() -> None:
    """The next failure is the first again, and the next opening is short again."""
    breaker = probed(probed(failing(3), Outcome.PREDICTION_FAILED), Outcome.MADE)
    assert (breaker.state, breaker.failures, breaker.openings) == (State.CLOSED, 0, 0)
    assert breaker.last_error == "HTTP 503"  # for people who look later


def test_failures_far_apart_are_no_run_of_them() -> None:
    """Two on Monday and one on Friday leave it closed."""
    breaker = failing(2)
    permit = Permit(MODEL, breaker.epoch, is_probe=False)
    friday = NOON + timedelta(days=4)
    breaker = machine.after(breaker, permit, Outcome.CREATE_FAILED, friday, RULES, DOWN)
    assert (breaker.state, breaker.create_failures) == (State.CLOSED, 1)


def test_a_killed_prober_decides_nothing_when_it_comes_back() -> None:
    """Its claim lapsed, another one probes: what the first says then is of no account."""
    breaker = failing(3)
    assert breaker.retry_at is not None
    first, lost = machine.admit(breaker, "slept", breaker.retry_at, RULES)
    assert lost is not None
    later = breaker.retry_at + timedelta(seconds=RULES.probe_seconds)
    assert machine.admit(first, "other", later - timedelta(seconds=1), RULES)[1] is None
    second, permit = machine.admit(first, "other", later, RULES)
    assert permit is not None
    tell: Callable[[Permit], Breaker] = lambda p: machine.after(  # noqa: E731 -- one line twice
        second, p, Outcome.MADE, later, RULES
    )
    assert tell(lost) is second
    assert tell(permit).state is State.CLOSED
    assert machine.renew(second, lost, later, RULES) is second


def test_the_limits_of_its_rules_are_checked() -> None:
    """A longest time that is shorter than the first one is a mistake in the file."""
    with pytest.raises(ValueError, match="max_open_seconds"):
        BreakerRules(open_seconds=60, max_open_seconds=30)
