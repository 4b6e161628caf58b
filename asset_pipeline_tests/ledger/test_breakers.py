"""Breakers in the ledger: they survive restarts, and of many processes one probes."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta

import pytest
from pydantic import SecretStr

from asset_pipeline.clock import Clock
from asset_pipeline.ledger.breaker_machine import BreakerRules, Failure, Outcome, Permit
from asset_pipeline.ledger.breakers import BreakerRepository
from asset_pipeline.ledger.engine import open_engine
from asset_pipeline.ledger.schema import BreakerState
from asset_pipeline_tests.conftest import NewLedger
from asset_pipeline_tests.support.clocks import FakeClock

MODEL = "black-forest-labs/flux-schnell"
OTHER = "minimax/speech-02-turbo"
RULES = BreakerRules(failure_threshold=2, open_seconds=10, probe_seconds=30)
DOWN = Failure("server_error", "HTTP 503")

# A process that asks for the probe as soon as it is told to, says whether it got it, and lives on.
_PROBER = """
import sys
from datetime import timedelta
from pydantic import SecretStr
from asset_pipeline.clock import SystemClock
from asset_pipeline.ledger.breaker_machine import BreakerRules
from asset_pipeline.ledger.breakers import BreakerRepository
from asset_pipeline.ledger.engine import open_engine

url, owner, model, later = sys.argv[1:]

class Clock(SystemClock):
    def now(self):
        return super().now() + timedelta(seconds=float(later))

book = BreakerRepository(open_engine(SecretStr(url)), Clock())
rules = BreakerRules(failure_threshold=2, probe_seconds=300)
book.all()
print("ready", flush=True)
sys.stdin.readline()
permit = book.admit(model, owner, rules)[1]
print("probes" if permit is not None else "waits", flush=True)
sys.stdin.readline()
"""


def book_of(url: SecretStr, clock: Clock) -> BreakerRepository:
    """A process's view of the ledger."""
    return BreakerRepository(open_engine(url), clock)


def break_down(book: BreakerRepository, model: str = MODEL) -> None:
    """Let a model fail until its breaker opens."""
    permit = Permit(model, 0, is_probe=False)
    for _ in range(RULES.failure_threshold):
        book.report(permit, Outcome.CREATE_FAILED, RULES, DOWN)
    assert book.all()[model].state is BreakerState.OPEN


def test_it_survives_a_restart_and_is_its_model_s_own(
    new_ledger: NewLedger, clock: FakeClock
) -> None:
    """What one process found out holds for the next one; other models go on."""
    url = new_ledger()
    book = book_of(url, clock)
    break_down(book)
    book.close()
    again = book_of(url, clock)
    breaker, permit = again.admit(MODEL, "w1", RULES)
    assert permit is None
    assert breaker.retry_at == clock.now() + timedelta(seconds=10)
    assert breaker.last_error == "HTTP 503"
    assert again.admit(OTHER, "w1", RULES)[1] == Permit(OTHER, 0, is_probe=False)
    again.close()


def test_an_outcome_is_written_and_the_probe_closes_it(
    new_ledger: NewLedger, clock: FakeClock
) -> None:
    """Open, half-open, closed: each step is in the ledger, with the claim's owner and expiry."""
    book = book_of(new_ledger(), clock)
    break_down(book)
    clock.advance(10)
    breaker, permit = book.admit(MODEL, "w1", RULES)
    assert permit is not None
    assert permit.is_probe
    assert breaker == book.all()[MODEL]
    assert (breaker.probe_owner, breaker.state) == ("w1", BreakerState.HALF_OPEN)
    clock.advance(20)
    assert book.renew(permit, RULES).probe_expires_at == clock.now() + timedelta(seconds=30)
    assert book.report(permit, Outcome.MADE, RULES) == book.all()[MODEL]
    assert book.all()[MODEL].state is BreakerState.CLOSED
    book.close()


def test_a_person_resets_it(new_ledger: NewLedger, clock: FakeClock) -> None:
    """It is closed at once; a model that nothing is known about has none to reset."""
    book = book_of(new_ledger(), clock)
    assert book.reset(MODEL) is None
    break_down(book)
    closed = book.reset(MODEL)
    assert closed is not None
    assert book.all() == {MODEL: closed}
    permit = book.admit(MODEL, "w1", RULES)[1]
    assert permit is not None
    assert not permit.is_probe
    book.close()


def _ready(url: SecretStr, owner: str, *, later: float = 0) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _PROBER, url.get_secret_value(), owner, MODEL]
    pipe = subprocess.PIPE
    prober = subprocess.Popen([*command, str(later)], stdin=pipe, stdout=pipe, text=True)
    assert prober.stdout is not None
    assert prober.stdout.readline() == "ready\n"
    return prober


def _say(prober: subprocess.Popen[str]) -> None:
    assert prober.stdin is not None
    prober.stdin.write("now\n")
    prober.stdin.flush()


def _hear(prober: subprocess.Popen[str]) -> str:
    assert prober.stdout is not None
    return prober.stdout.readline().strip()


@pytest.mark.servers
@pytest.mark.timeout(240)
def test_one_of_many_processes_probes_and_a_killed_one_does_not_block_it(
    new_ledger: NewLedger, clock: FakeClock
) -> None:
    """Five ask at once, one gets it; it is killed, and when its claim has lapsed one other does."""
    url = new_ledger()
    book = book_of(url, clock)  # it broke down long ago by the processes' own clock
    break_down(book)
    probers = [_ready(url, f"w{number}") for number in range(5)]
    late = [_ready(url, f"late{number}", later=301) for number in range(2)]
    try:
        for prober in probers:
            _say(prober)
        heard = [_hear(prober) for prober in probers]
        assert sorted(heard) == ["probes", *["waits"] * 4]
        assert book.all()[MODEL].probe_owner == f"w{heard.index('probes')}"
        probers[heard.index("probes")].kill()
        for prober in late:
            _say(prober)
        assert sorted(_hear(prober) for prober in late) == ["probes", "waits"]
        assert (book.all()[MODEL].probe_owner or "").startswith("late")
    finally:
        for prober in [*probers, *late]:
            prober.kill()
            prober.communicate()
        book.close()
