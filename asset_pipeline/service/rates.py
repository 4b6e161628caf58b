"""Letting a caller's requests through at its rate: exact over processes, one transaction for many.

A transaction a request would cost most of what a status call costs. What comes while one is under
way goes together into the next.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field

from fastapi import Request

from asset_pipeline.ledger.request_rates import Allowance, RequestRates
from asset_pipeline.service.problems import ProblemError


@dataclass
class RateGate:
    """Gathers requests and asks the ledger for all of them at once."""

    rates: RequestRates
    _waiting: list[tuple[str, int, asyncio.Future[Allowance]]] = field(
        default_factory=list[tuple[str, int, "asyncio.Future[Allowance]"]]
    )
    _asking: asyncio.Task[None] | None = None

    async def take(self, name: str, limit: int) -> Allowance:
        """Take one request of a caller's minute."""
        future: asyncio.Future[Allowance] = asyncio.get_running_loop().create_future()
        self._waiting.append((name, limit, future))
        if self._asking is None or self._asking.done():
            self._asking = asyncio.ensure_future(self._ask())
        return await future

    async def _ask(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            asked: dict[str, tuple[int, int]] = {}
            for name, limit, _ in batch:
                asked[name] = (asked.get(name, (0, limit))[0] + 1, limit)
            try:
                found = await asyncio.to_thread(self.rates.take, asked)
            except Exception as error:  # noqa: BLE001 -- each of them is told
                for _, _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                continue
            left = {name: each.granted for name, each in found.items()}
            for name, _, future in batch:
                granted = min(1, left[name])
                left[name] -= granted
                each = found[name]
                if not future.done():
                    allowance = Allowance(
                        granted, each.limit, each.remaining + left[name], each.retry_after
                    )
                    future.set_result(allowance)


async def admit(request: Request, owner: str, limit: int | None) -> None:
    """Let a request through, and say what is left of its caller's minute.

    Raises:
        ProblemError: Nothing is left.
    """
    if limit is None:
        return
    gate: RateGate = request.app.state.rate_gate
    allowance = await gate.take(owner, limit)
    reset = math.ceil(allowance.retry_after)
    headers = {
        "RateLimit-Policy": f'"minute";q={limit};w=60',
        "RateLimit": f'"minute";r={allowance.remaining};t={reset}',
        "RateLimit-Limit": str(limit),
        "RateLimit-Remaining": str(allowance.remaining),
        "RateLimit-Reset": str(reset),
    }
    request.state.rate_headers = headers
    if not allowance.granted:
        raise ProblemError(
            429,
            "rate_limited",
            f"{limit} requests a minute are allowed.",
            headers={"Retry-After": str(max(1, reset))},
        )
