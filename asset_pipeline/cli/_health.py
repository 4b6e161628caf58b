"""The breakers and the rate, as commands show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from rich.console import Console
from sqlalchemy import Engine

from asset_pipeline.cli._output import say, show_table
from asset_pipeline.clock import SystemClock
from asset_pipeline.ledger.breaker_machine import Breaker
from asset_pipeline.ledger.breakers import BreakerRepository
from asset_pipeline.ledger.rate_limit import Rate, RateLimitRepository
from asset_pipeline.ledger.schema import BreakerState

_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Health:
    """How the provider is thought to be.

    Attributes:
        breakers: Of all models that ever failed.
        rate: What is shared of the provider's limit; None while nothing was ever sent under one.
        sent: Creates of the last minute, by all processes.
    """

    breakers: Sequence[Breaker]
    rate: Rate | None
    sent: int
    now: datetime


def read_health(engine: Engine) -> Health:
    """Read the breakers and the rate from the ledger."""
    clock = SystemClock()
    rates, now = RateLimitRepository(engine, clock), clock.now()
    breakers = BreakerRepository(engine, clock).all()
    return Health(list(breakers.values()), rates.get(), rates.sent_since(now - _MINUTE), now)


def show_troubles(console: Console, health: Health) -> None:
    """Print the breakers that are not closed, and the rate while something goes out."""
    troubled = [each for each in health.breakers if each.state is not BreakerState.CLOSED]
    if troubled:
        show_breakers(console, troubled, health.now)
    if health.rate is not None and (health.sent or _is_held(health.rate, health.now)):
        say(console, _rate_line(health.rate, health.sent, health.now))


def show_breakers(console: Console, breakers: Sequence[Breaker], now: datetime) -> None:
    """Print breakers as a table."""
    show_table(
        console,
        "Circuit breakers",
        ["model", "state", "failures", "what happens next", "last failure", ""],
        [
            (
                each.model,
                each.state.replace("_", "-"),
                each.failures,
                _what_next(each, now),
                _time(each.last_failure_at),
                f"{each.last_error_class}: {each.last_error}" if each.last_error_class else "",
            )
            for each in breakers
        ],
        numbers=["failures"],
    )


def breaker_fields(breaker: Breaker) -> Mapping[str, object]:
    """Return a breaker as machines read it; the names are those of table circuit_breakers."""
    return {
        "model": breaker.model,
        "state": breaker.state,
        "create_failures": breaker.create_failures,
        "prediction_failures": breaker.prediction_failures,
        "openings": breaker.openings,
        "last_error_class": breaker.last_error_class,
        "last_error": breaker.last_error,
        "last_failure_at": breaker.last_failure_at,
        "opened_at": breaker.opened_at,
        "retry_at": breaker.retry_at,
        "probe_owner": breaker.probe_owner,
        "probe_expires_at": breaker.probe_expires_at,
        "updated_at": breaker.updated_at,
    }


def rate_fields(health: Health) -> Mapping[str, object] | None:
    """Return the rate as machines read it; None while nothing was ever sent under a limit."""
    rate = health.rate
    if rate is None:
        return None
    return {
        "per_minute": rate.per_minute,
        "in_force_per_minute": round(rate.per_minute * rate.share_at(health.now)),
        "sent_last_minute": health.sent,
        "paused_until": rate.paused_until if _is_held(rate, health.now) else None,
        "last_throttled_at": rate.throttled_at,
        "throttles": rate.throttles,
    }


def _what_next(breaker: Breaker, now: datetime) -> str:
    if breaker.state is BreakerState.CLOSED:
        return "it is used as usual"
    until = breaker.held_until(now)
    if until is None:
        return "the next prediction is a probe"
    if breaker.state is BreakerState.OPEN:
        return f"nothing is sent until {_time(until)}"
    return "a probe is on its way"


def _rate_line(rate: Rate, sent: int, now: datetime) -> str:
    in_force = round(rate.per_minute * rate.share_at(now))
    line = f"{sent:,} creates in the last minute, of {rate.per_minute:,}"
    if in_force < rate.per_minute:
        line += f" ({in_force:,} since the provider refused some at {_time(rate.throttled_at)})"
    if _is_held(rate, now):
        line += f"; the provider asks to wait until {_time(rate.paused_until)}"
    return f"{line}."


def _is_held(rate: Rate, now: datetime) -> bool:
    return rate.paused_until is not None and rate.paused_until > now


def _time(time: datetime | None) -> str:
    return "" if time is None else f"{time:%Y-%m-%d %H:%M:%S} UTC"
