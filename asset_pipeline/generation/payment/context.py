"""The dependencies of the paid call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from asset_pipeline.clock import Clock
from asset_pipeline.generation.payment.breaker import Breakers
from asset_pipeline.generation.payment.delivery import Deliverer
from asset_pipeline.generation.payment.in_flight import InFlightLimiter
from asset_pipeline.generation.payment.poller import PredictionPoller
from asset_pipeline.generation.payment.rate_limiter import RateLimiter
from asset_pipeline.generation.payment.store_gate import StoreGate
from asset_pipeline.generation.timeouts import Timeouts
from asset_pipeline.ledger.group_commit import Writing
from asset_pipeline.ledger.ledger import Ledger
from asset_pipeline.provenance.stamp import Stamp
from asset_pipeline.providers.protocol import Provider

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PaymentContext:
    """Everything the paid call works with.

    Attributes:
        writing: Runs the ledger's blocking transactions, off the event loop.
        checkpoint: Called with a name at each point between two durable steps; it does nothing
            outside the crash tests, which kill the process there.
        webhook_url: Where the provider is to tell of a prediction's end; the intent's id is added.
        stamp: Lays the signed manifest beside each original; None where there is no key.
    """

    ledger: Ledger
    provider: Provider
    deliverer: Deliverer
    limiter: RateLimiter
    breakers: Breakers
    gate: StoreGate
    places: InFlightLimiter
    watch: PredictionPoller
    clock: Clock
    timing: Timeouts
    writing: Writing
    checkpoint: Callable[[str], None]
    webhook_url: str | None = None
    stamp: Stamp | None = None

    async def write(self, transaction: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run one ledger transaction off the event loop."""
        return await self.writing.run(lambda: transaction(*args, **kwargs))
