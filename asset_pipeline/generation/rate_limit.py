"""Pacing creates: a token bucket that all clips of a batch draw from, paused by a 429."""

from __future__ import annotations

import asyncio

from asset_pipeline.clock import Clock

# Replicate lets short bursts pass; a tenth of a second's worth at 600 a minute is one request.
_BURST_SECONDS = 0.5


class RateLimiter:
    """Lets at most so many creates a minute go out.

    Args:
        per_minute: Creates a minute; 0 means no limit of our own.
        clock: For time and waiting.
    """

    def __init__(self, per_minute: int, clock: Clock) -> None:
        self._interval = 60.0 / per_minute if per_minute else 0.0
        self._clock = clock
        self._turn = asyncio.Lock()
        self._next = clock.monotonic()

    async def acquire(self) -> None:
        """Wait for the right to send one create."""
        async with self._turn:
            # Time that went by unused is worth a small burst, never more.
            burst = min(_BURST_SECONDS, self._interval)
            self._next = max(self._next, self._clock.monotonic() - burst)
            # Looked at again after the wait: a pause may have begun meanwhile.
            while (wait := self._next - self._clock.monotonic()) > 0:
                await self._clock.sleep(wait)
            self._next += self._interval

    def pause(self, seconds: float) -> None:
        """Send nothing for so long: the provider said so."""
        self._next = max(self._next, self._clock.monotonic() + seconds)
