"""A sandbox in a thread, a ledger, and all that drafting needs on the two."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import pytest
from pydantic import SecretStr

from asset_pipeline.catalog.reader import Catalog, load_catalog
from asset_pipeline.clock import SystemClock
from asset_pipeline.drafting.brief import Brief, load_brief
from asset_pipeline.drafting.drafter import Drafter, DraftReport
from asset_pipeline.drafting.paid_chat import PaidChat, Payment
from asset_pipeline.drafting.price_list import PriceList
from asset_pipeline.ledger.audit import audit
from asset_pipeline.ledger.budgets import BudgetCaps
from asset_pipeline.ledger.engine import open_engine
from asset_pipeline.ledger.llm_calls import LlmCall, LlmCallRepository
from asset_pipeline.ledger.transactions import transaction
from asset_pipeline.money import MicroUsd, micro_usd_ceiling
from asset_pipeline.prompts.library import load_library
from asset_pipeline.providers.openrouter import OpenRouterProvider
from asset_pipeline.sandbox.options import SandboxOptions
from asset_pipeline_tests.conftest import NewLedger
from asset_pipeline_tests.sandbox.conftest import INSTANT, Running

BRIEF = """
goal: Labels for herbal teas, one look
count: 3
style: [ink drawing]
must_not: [photograph]
"""

T = TypeVar("T")


@dataclass
class Desk:
    """A place to draft at; each call of it is a process of its own, as far as the ledger sees."""

    sandbox: Running
    prompts_dir: Path
    data_dir: Path
    ledger_url: SecretStr
    catalog: Catalog
    caps: BudgetCaps = field(default_factory=BudgetCaps)
    call_seconds: float = 20.0
    key: str = "sk-or-test"

    def brief(self, name: str = "teas") -> Brief:
        return load_brief(self.prompts_dir, name, self.catalog)

    def draft(
        self,
        *,
        again: bool = False,
        count: int | None = None,
        name: str = "teas",
        max_usd: MicroUsd | None = None,
    ) -> DraftReport:
        """Draft the brief as `prompts draft` does."""
        existing = load_library(self.prompts_dir, self.catalog).of_kind(self.brief(name).kind)

        async def work(drafter: Drafter, _: PaidChat, payment: Payment) -> DraftReport:
            return await drafter.draft(self.brief(name), existing, payment, count=count)

        return self.run(work, again=again, max_usd=max_usd)

    def settle(self, seconds: float = 0) -> list[LlmCall]:
        """Lower what can be proved, as `reconcile` does."""

        async def work(_: Drafter, chat: PaidChat, __: Payment) -> list[LlmCall]:
            return await chat.settle()

        return self.run(work, settle_seconds=seconds)

    def run(
        self,
        work: Callable[[Drafter, PaidChat, Payment], Coroutine[Any, Any, T]],
        *,
        again: bool = False,
        settle_seconds: float = 3600,
        max_usd: MicroUsd | None = None,
    ) -> T:
        calls = self.calls()

        async def session() -> T:
            provider = OpenRouterProvider(
                SecretStr(self.key),
                self.sandbox.url,
                name="sandbox",
                call_seconds=self.call_seconds,
            )
            try:
                clock = SystemClock()
                chat = PaidChat(provider, calls, clock, settle_seconds=settle_seconds)
                prices = PriceList(self.data_dir, provider, clock)
                drafter = Drafter(chat, prices, calls, self.prompts_dir, self.catalog)
                worker = calls.start_worker("run")
                try:
                    return await work(drafter, chat, Payment("run", worker, max_usd, again))
                finally:
                    calls.end_worker(worker)
            finally:
                await provider.aclose()

        try:
            return asyncio.run(session())
        finally:
            calls.close()

    def calls(self) -> LlmCallRepository:
        return LlmCallRepository(open_engine(self.ledger_url), SystemClock(), lambda: self.caps)

    def fault(self, name: str, **params: object) -> None:
        self.sandbox.fault(name, match={"route": "chat"}, params=params)

    def posts(self) -> int:
        counts = self.sandbox.http.get("/sandbox/requests").json()
        return counts.get("POST /api/v1/chat/completions", 0)

    def billed(self) -> MicroUsd:
        """What the sandbox has billed, in micro-dollars, each call rounded up."""
        calls = self.sandbox.http.get("/sandbox/chats").json()["calls"]
        return MicroUsd(sum(micro_usd_ceiling(Decimal(str(call["total_cost"]))) for call in calls))

    def books(self) -> tuple[int, int]:
        """What the ledger has charged and reserved in all; it must agree with itself."""
        calls = self.calls()
        with transaction(calls.engine, reading=True) as connection:
            report = audit(connection)
        assert report.mismatches == ()
        with transaction(calls.engine, reading=True) as connection:
            row = connection.exec_driver_sql(
                "SELECT coalesce(sum(charged_microusd), 0), coalesce(sum(reserved_microusd), 0)"
                " FROM budgets WHERE budget = 'llm'"
            ).one()
        calls.close()
        return int(row[0]), int(row[1])


@pytest.fixture(name="desk")
def _desk(tmp_path: Path, new_sqlite: NewLedger) -> Iterator[Desk]:
    yield from _open_desk(tmp_path, new_sqlite())


@pytest.fixture(name="desk_on_postgres")
def _desk_on_postgres(tmp_path: Path, new_postgres: NewLedger) -> Iterator[Desk]:
    yield from _open_desk(tmp_path, new_postgres())


def _open_desk(tmp_path: Path, url: SecretStr) -> Iterator[Desk]:
    running = Running(tmp_path / "sandbox", SandboxOptions(**INSTANT))
    prompts = tmp_path / "prompts"
    (prompts / "briefs").mkdir(parents=True)
    (prompts / "briefs" / "teas.yaml").write_text(BRIEF)
    yield Desk(running, prompts, tmp_path / "data", url, load_catalog(tmp_path / "config"))
    running.stop()
