"""A session: registers a process as a worker of a run, and opens and closes what it uses."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from asset_pipeline.clock import Clock
from asset_pipeline.generation.payment.breaker import Breakers
from asset_pipeline.generation.payment.context import PaymentContext
from asset_pipeline.generation.payment.delivery import Deliverer
from asset_pipeline.generation.payment.in_flight import InFlightLimiter
from asset_pipeline.generation.payment.paid_call import PaidCall
from asset_pipeline.generation.payment.poller import PredictionPoller
from asset_pipeline.generation.payment.rate_limiter import RateLimiter
from asset_pipeline.generation.payment.store_gate import StoreGate
from asset_pipeline.generation.timeouts import Timeouts
from asset_pipeline.ledger.breaker_machine import BreakerRules
from asset_pipeline.ledger.breakers import BreakerRepository
from asset_pipeline.ledger.engine import LedgerError
from asset_pipeline.ledger.group_commit import GroupCommit
from asset_pipeline.ledger.ledger import Ledger, Payer
from asset_pipeline.ledger.provenance import ProvenanceBook
from asset_pipeline.ledger.rate_limit import RateLimitRepository
from asset_pipeline.ledger.workers import HEARTBEAT_SECONDS
from asset_pipeline.media.decoder_pool import DecoderLimits, DecoderPool
from asset_pipeline.media.preview_cache import PreviewCache
from asset_pipeline.money import MicroUsd
from asset_pipeline.provenance.marker import Marker
from asset_pipeline.provenance.stamp import Stamp
from asset_pipeline.providers.protocol import Provider
from asset_pipeline.stores.probe import try_putting
from asset_pipeline.stores.protocol import Store

_STORING_THREADS = 8


def _no_checkpoint(_: str) -> None:
    """Crash tests put a kill here."""


@dataclass(frozen=True, slots=True)
class SessionPlan:
    """What a session is opened with.

    Attributes:
        previews: The folder of kept previews.
        scratch: The folder for downloads.
        rate_limit_per_minute: Creates a minute; 0 means no limit of our own.
        max_in_flight: Predictions at the provider at once.
        max_images_decoded: Files decoded at once, which bounds memory.
        decoder_limits: What one file may take.
        run_cap: A cap of this run's own.
        budget_id: The launch that the cap is for, where the run is a part or a repetition of it.
        pay_again_before: Pay again for clips that were stored before this time.
        breaker_rules: Returns the thresholds in force.
        webhook_url: Where the provider is to tell of a prediction's end.
        wanted_order: The run's place in the order of what is wanted; one is taken if it has none.
        launch_id: The launch of submissions that the run makes; empty for any other run.
        marker: Signs manifests of originals; None where there is no key.
    """

    run_id: str
    previews: Path
    scratch: Path
    rate_limit_per_minute: int
    max_in_flight: int
    max_images_decoded: int
    timing: Timeouts
    run_cap: MicroUsd | None = None
    budget_id: str = ""
    pay_again_before: datetime | None = None
    breaker_rules: Callable[[], BreakerRules] = BreakerRules
    checkpoint: Callable[[str], None] = _no_checkpoint
    webhook_url: str | None = None
    wanted_order: int = 0
    launch_id: str = ""
    marker: Marker | None = None
    decoder_limits: DecoderLimits = field(default_factory=DecoderLimits)


@contextlib.asynccontextmanager
async def open_session(
    plan: SessionPlan, *, ledger: Ledger, provider: Provider, store: Store, clock: Clock
) -> AsyncGenerator[PaidCall]:
    """Register this process as a worker and yield its paid call; close everything at the end.

    The provider is closed too: its connections belong to this event loop.
    """
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(provider.aclose)
        writing = stack.enter_context(GroupCommit(ledger.engine))
        decoders = DecoderPool(plan.max_images_decoded, plan.previews, plan.decoder_limits)
        stack.push_async_callback(decoders.aclose)
        storing = stack.enter_context(ThreadPoolExecutor(_STORING_THREADS, "store"))
        deliverer = Deliverer(
            provider,
            store,
            PreviewCache(plan.previews),
            plan.scratch,
            decoders=decoders,
            storing=storing,
            clock=clock,
            timing=plan.timing,
        )
        worker_id = await writing.run(lambda: ledger.start_worker(plan.run_id))
        collaborators = PaymentContext(
            ledger=ledger,
            provider=provider,
            deliverer=deliverer,
            limiter=RateLimiter(
                plan.rate_limit_per_minute,
                clock,
                RateLimitRepository(ledger.engine, clock),
                writing,
            ),
            breakers=Breakers(
                BreakerRepository(ledger.engine, clock),
                plan.breaker_rules,
                clock,
                writing,
                worker_id,
            ),
            gate=StoreGate(lambda: _try_putting(store, storing)),
            places=InFlightLimiter(plan.max_in_flight),
            watch=PredictionPoller(provider, clock, plan.timing),
            clock=clock,
            timing=plan.timing,
            writing=writing,
            checkpoint=plan.checkpoint,
            webhook_url=plan.webhook_url,
            stamp=_stamp(plan, ledger, store, clock),
        )
        order = plan.wanted_order or await writing.run(ledger.take_order)
        payer = Payer(
            plan.run_id,
            worker_id,
            plan.run_cap,
            order,
            plan.budget_id or None,
            plan.launch_id,
        )
        beating = asyncio.ensure_future(_beat(collaborators, worker_id))
        try:
            yield PaidCall(collaborators, payer, pay_again_before=plan.pay_again_before)
        finally:
            beating.cancel()
            await collaborators.watch.aclose()
            await collaborators.write(ledger.end_worker, worker_id)


def _stamp(plan: SessionPlan, ledger: Ledger, store: Store, clock: Clock) -> Stamp | None:
    if plan.marker is None:
        return None
    return Stamp(plan.marker, ProvenanceBook(ledger.engine, clock), store, plan.run_id)


async def _try_putting(store: Store, storing: Executor) -> None:
    await asyncio.get_running_loop().run_in_executor(storing, try_putting, store)


async def _beat(collaborators: PaymentContext, worker_id: str) -> None:
    while True:
        await collaborators.clock.sleep(HEARTBEAT_SECONDS)
        # A ledger that is busy for a while must not end the heartbeat: the next one repeats it.
        with contextlib.suppress(LedgerError):
            await collaborators.write(collaborators.ledger.beat, worker_id)
