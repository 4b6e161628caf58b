"""A place to generate at, inside the test's own process: real server, ledger and store."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import SecretStr
from sqlalchemy import select

from asset_pipeline.catalog.reader import Catalog
from asset_pipeline.clock import SystemClock
from asset_pipeline.generation.batch import Batch, BatchProgress, PromptOutcome
from asset_pipeline.generation.payment.paid_call import PaidCall
from asset_pipeline.generation.retry.rewriter import Rewriter
from asset_pipeline.generation.retry.rules import RetryRules
from asset_pipeline.generation.session import SessionPlan, open_session
from asset_pipeline.generation.timeouts import Timeouts
from asset_pipeline.ledger.breaker_machine import BreakerRules
from asset_pipeline.ledger.budgets import BudgetCaps
from asset_pipeline.ledger.engine import open_engine
from asset_pipeline.ledger.ledger import Ledger
from asset_pipeline.ledger.records import Intent, intent_from
from asset_pipeline.ledger.schema import intents
from asset_pipeline.prompts.spec import Prompt
from asset_pipeline.providers.replicate import ReplicateProvider
from asset_pipeline.stores.local import LocalStore
from asset_pipeline_tests.support.crash.site import Site
from asset_pipeline_tests.support.generation_samples import CATALOG
from asset_pipeline_tests.support.retry_rules import rules_without_waits

# Settling takes long enough for a busy machine's server to list what it has accepted.
QUICK = Timeouts(
    first_poll=0.05,
    slowest_poll=0.5,
    deadline_margin=20.0,
    settle=1.0,
    late_acceptance=1.0,
    other_worker=0.05,
    retention=1.5,
    cut_spread=0.3,
    forgotten=0.4,
    outage=3.0,
)


class HastyClock(SystemClock):
    """The machine's clock for somebody who never sleeps longer than a twentieth of a second."""

    async def sleep(self, seconds: float) -> None:
        """Sleep a little; whoever waits for a time looks again."""
        await asyncio.sleep(min(seconds, 0.05))


@dataclass
class Stage:
    """What a test generates with.

    Attributes:
        caps: Of :class:`BudgetCaps`, in dollars.
        plan: Changes to the session's plan.
        token: Names the account at the provider.
        patience: Seconds that a request or a download may take.
        folder: Of the ledger and the store: the site's, which is the test's own.
        rewriter: Rewrites refused prompts; nobody does unless a test says so.
    """

    site: Site
    caps: dict[str, object] = field(default_factory=dict[str, object])
    plan: dict[str, Any] = field(default_factory=dict[str, Any])
    clock: SystemClock = field(default_factory=HastyClock)
    max_in_flight: int = 40
    rules: RetryRules = field(default_factory=rules_without_waits)
    earlier_tries: int = 0
    token: str = "r8_sandbox"
    patience: float = 30.0
    catalog: Catalog = CATALOG
    rewriter: Rewriter | None = None
    progress: list[BatchProgress] = field(default_factory=list[BatchProgress])

    def ledger(self) -> Ledger:
        """Open the ledger."""
        caps = BudgetCaps.model_validate({"total_usd": "100", "daily_usd": None} | self.caps)
        return Ledger(open_engine(SecretStr(self.site.ledger_url)), self.clock, lambda: caps)

    @contextlib.asynccontextmanager
    async def session(self, ledger: Ledger | None = None) -> AsyncGenerator[PaidCall]:
        """Open a session with a provider of its own."""
        folder = self.site.folder
        plan = SessionPlan(
            run_id="run-1",
            previews=folder / "previews",
            scratch=folder / "scratch",
            rate_limit_per_minute=0,
            max_in_flight=self.max_in_flight,
            max_images_decoded=2,
            timing=QUICK,
            # Many of these batches are all failures; what opens a breaker has its own tests.
            breaker_rules=lambda: BreakerRules(failure_threshold=1000),
        )
        opened = ledger or self.ledger()
        provider = ReplicateProvider(
            SecretStr(self.token),
            self.site.url,
            request_seconds=self.patience,
            download_seconds=self.patience,
        )
        store = LocalStore(folder / "clips")
        try:
            async with open_session(
                replace(plan, **self.plan),
                ledger=opened,
                provider=provider,
                store=store,
                clock=self.clock,
            ) as paid_call:
                yield paid_call
        finally:
            opened.close()

    def batch(self, paid_call: PaidCall) -> Batch:
        """Return a batch of a session."""
        return Batch(
            paid_call,
            self.catalog,
            self.site.folder,
            max_clips=self.max_in_flight,
            report=lambda progress: self.progress.append(replace(progress)),
            rules=lambda: self.rules,
            earlier_tries=self.earlier_tries,
            rewriter=self.rewriter,
        )

    async def generate(self, prompts: Iterable[Prompt]) -> dict[str, PromptOutcome]:
        """Run prompts in one batch; return their outcomes by prompt id."""
        wanted = list(prompts)
        async with self.session() as paid_call:
            run = self.batch(paid_call).run(wanted, len(wanted))
            return {outcome.prompt.prompt_id: outcome async for outcome in run}

    def run(self, *prompts: Prompt) -> dict[str, PromptOutcome]:
        """Like :meth:`generate`, in an event loop of its own, for two minutes at most."""

        async def bounded() -> dict[str, PromptOutcome]:
            async with asyncio.timeout(120):
                return await self.generate(prompts)

        return asyncio.run(bounded())

    def intents(self, keep: Callable[[Intent], bool] = lambda _: True) -> list[Intent]:
        """Return the ledger's intents by prompt, variant and attempt."""
        ledger = self.ledger()
        order = (intents.c.prompt_id, intents.c.variant, intents.c.attempt)
        with ledger.engine.connect() as connection:
            rows = connection.execute(select(intents).order_by(*order)).mappings()
            found = [intent_from(row) for row in rows]
        ledger.close()
        return [intent for intent in found if keep(intent)]

    def states(self) -> list[str]:
        """Return the states of all intents, in the same order."""
        return [intent.state.value for intent in self.intents()]


def classes(outcome: PromptOutcome) -> list[str]:
    """The classes of a prompt's failures."""
    return [failure.error_class.value for failure in outcome.failures]
