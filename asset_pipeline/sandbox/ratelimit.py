"""Limits over the last minute, shared by every process on one state file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from asset_pipeline.sandbox.options import SandboxOptions
from asset_pipeline.sandbox.state import MICROSECONDS, State

_WINDOW = 60
_UNLIMITED = 1_000_000


class Traffic(StrEnum):
    """The two classes that Replicate limits apart."""

    CREATES = "creates"
    OTHERS = "others"


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one request found.

    Args:
        allowed: Whether it may pass.
        limit: Requests a minute of its class, 0 for no limit.
        remaining: Requests left in the last minute after this one.
        reset: Seconds until the oldest of them leaves the minute.
    """

    allowed: bool
    limit: int
    remaining: int
    reset: int

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the two headers that every reply carries."""
        return [
            (b"ratelimit-remaining", str(self.remaining).encode()),
            (b"ratelimit-reset", str(self.reset).encode()),
        ]


class RateLimit:
    """A sliding minute in steps of one second; a refused request does not count against it.

    The same transaction counts the request for ``/sandbox/requests``, refused or not.
    """

    def __init__(self, state: State, options: SandboxOptions) -> None:
        self._state = state
        self._limits = {
            Traffic.CREATES: options.creates_per_minute,
            Traffic.OTHERS: options.requests_per_minute,
        }

    def count(self, route: str) -> None:
        """Count a request that no limit applies to."""
        self._state.connection.execute(_COUNT_ROUTE, (route,))

    def take(self, traffic: Traffic, route: str) -> Allowance:
        """Count a request and take its place in the minute, if there is one.

        Args:
            traffic: The request's class.
            route: Method and route template, the key in ``/sandbox/requests``.
        """
        limit = self._limits[traffic]
        if limit == 0:
            self.count(route)
            return Allowance(allowed=True, limit=0, remaining=_UNLIMITED, reset=0)
        now = self._state.now_us() / MICROSECONDS
        with self._state.transaction() as connection:
            connection.execute(_COUNT_ROUTE, (route,))
            used, oldest = connection.execute(
                "SELECT coalesce(sum(count), 0), min(second) FROM traffic "
                "WHERE class = ? AND second > ?",
                (traffic, int(now) - _WINDOW),
            ).fetchone()
            allowed = used < limit
            if allowed:
                connection.execute(
                    "INSERT INTO traffic VALUES (?, ?, 1) "
                    "ON CONFLICT DO UPDATE SET count = count + 1",
                    (traffic, int(now)),
                )
                connection.execute("DELETE FROM traffic WHERE second < ?", (int(now) - _WINDOW,))
        first = now if oldest is None else float(oldest)
        reset = max(1, math.ceil(first + _WINDOW - now))
        return Allowance(
            allowed=allowed, limit=limit, remaining=max(0, limit - used - 1), reset=reset
        )


_COUNT_ROUTE = "INSERT INTO requests VALUES (?, 1) ON CONFLICT DO UPDATE SET count = count + 1"
