"""`breaker list|reset`, `status` and SQL: an open breaker is seen, and closed by a person."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pydantic import SecretStr

from asset_pipeline.clock import SystemClock
from asset_pipeline.ledger.breaker_machine import BreakerRules, Failure, Outcome, Permit
from asset_pipeline.ledger.breakers import BreakerRepository
from asset_pipeline.ledger.engine import open_engine
from asset_pipeline.ledger.rate_limit import RateLimitRepository
from asset_pipeline_tests.cli.conftest import Done, Workspace

Cli = Callable[..., Done]
MODEL = "black-forest-labs/flux-schnell"


@pytest.fixture
def broken(cli: Cli, workspace: Workspace) -> None:
    """A model whose breaker is open for an hour, in a ledger that has sent under a limit."""
    assert cli("ledger", "upgrade").code == 0
    engine = open_engine(SecretStr(f"sqlite:///{workspace.root / 'data' / 'ledger.sandbox.db'}"))
    rules = BreakerRules(failure_threshold=1, open_seconds=3600, max_open_seconds=3600)
    BreakerRepository(engine, SystemClock()).report(
        Permit(MODEL, 0, is_probe=False),
        Outcome.CREATE_FAILED,
        rules,
        Failure("server_error", "HTTP 503: Service Unavailable"),
    )
    RateLimitRepository(engine, SystemClock()).throttle(3600, 600)
    engine.dispose()


@pytest.mark.usefixtures("broken")
def test_an_open_breaker_and_a_pause_are_seen(cli: Cli) -> None:
    """`status` says why nothing is sent and until when; machines read the same."""
    shown = cli("status").out
    assert MODEL in shown
    assert "nothing is sent until" in shown
    assert "HTTP 503: Service Unavailable" in shown
    assert "the provider asks to wait until" in shown
    document = cli("status", "--json").json
    (breaker,) = document["breakers"]
    assert (breaker["model"], breaker["state"], breaker["openings"]) == (MODEL, "open", 1)
    assert breaker["last_error_class"] == "server_error"
    rate = document["rate"]
    assert (rate["per_minute"], rate["in_force_per_minute"], rate["throttles"]) == (600, 420, 1)
    assert rate["sent_last_minute"] == 0
    assert cli("breaker", "list", "--json").json == [breaker]
    assert cli("costs").code == 0  # publishes what has changed
    rows = cli("sql", "SELECT model, state, last_error FROM circuit_breakers", "--json").json
    assert [list(row.values()) for row in rows] == [
        [MODEL, "open", "HTTP 503: Service Unavailable"]
    ]


@pytest.mark.usefixtures("broken")
def test_a_person_closes_it(cli: Cli) -> None:
    """Reset once, the model is used again; what happened stays to be read."""
    done = cli("breaker", "reset", MODEL)
    assert (done.code, "is closed" in done.out) == (0, True), done.err
    (breaker,) = cli("breaker", "list", "--json").json
    assert (breaker["state"], breaker["openings"]) == ("closed", 0)
    assert breaker["last_error_class"] == "server_error"
    assert MODEL not in cli("status").out
    assert "is used as usual" in cli("breaker", "list").out


def test_a_model_that_never_failed_has_none(cli: Cli) -> None:
    """A misspelt model is a sentence and exit code 2."""
    assert "all breakers are closed" in cli("breaker", "list").out
    done = cli("breaker", "reset", "no/such")
    assert (done.code, "'no/such' has no breaker" in done.err) == (2, True)
    document = cli("status", "--json").json
    assert (document["breakers"], document["rate"]) == ([], None)
