"""The plan of a run: what it would do and cost at most, before anything is paid."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from itertools import accumulate, takewhile
from pathlib import Path

from asset_pipeline.catalog.fallbacks import price_ratio
from asset_pipeline.catalog.kind import Kind
from asset_pipeline.catalog.pricing import price_on, worst_case
from asset_pipeline.catalog.reader import Catalog
from asset_pipeline.catalog.spec import PriceUnit
from asset_pipeline.generation.request import resolve
from asset_pipeline.ledger.budget_scopes import of_collection
from asset_pipeline.ledger.budgets import BudgetCaps, BudgetLine, KeyCap, budget_lines
from asset_pipeline.ledger.reports import BudgetUse, LedgerReader
from asset_pipeline.money import MicroUsd
from asset_pipeline.prompts.spec import Prompt


@dataclass(frozen=True, slots=True)
class FallbackPlan:
    """A model that may be asked instead, and how many times the price it costs at the worst.

    Attributes:
        price_ratio: For the first of the model's prompts; None when it can't take that one.
    """

    model: str
    price_ratio: Decimal | None


@dataclass(frozen=True, slots=True)
class ModelPlan:
    """One model's share of a plan, in clips; ``fallbacks`` in the order in which they are asked."""

    model: str
    kind: Kind
    cached: int
    open: int
    to_generate: int
    worst_case: MicroUsd
    fallbacks: tuple[FallbackPlan, ...] = ()


@dataclass(frozen=True, slots=True)
class BudgetPlan:
    """What a plan asks of one budget at the most.

    Attributes:
        clips: Clips to pay for under it; of a run, in the dearest one.
        at_once: How many of those it lets through at once, in their order, each at its worst case.
        may_follow: Whether more follow: clips that are paid by their time give back most of what
            is reserved for them, and the next waits for it.
    """

    budget: str
    cap: MicroUsd
    headroom: MicroUsd
    needed: MicroUsd
    clips: int = 0
    at_once: int = 0
    may_follow: bool = False

    @property
    def fits(self) -> bool:
        """Whether the budget has room for the worst case."""
        return self.needed <= self.headroom


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do.

    Attributes:
        prompts: Prompts planned.
        models: By model, the dearest first.
        budgets: Every budget that the run would fall under, by name.
    """

    prompts: int
    models: tuple[ModelPlan, ...]
    budgets: tuple[BudgetPlan, ...]

    @property
    def clips(self) -> int:
        """Clips wanted."""
        return self.cached + self.open + self.to_generate

    @property
    def cached(self) -> int:
        """Clips that are stored, or are the same as one that this run makes: free."""
        return sum(model.cached for model in self.models)

    @property
    def open(self) -> int:
        """Clips whose money is set aside already: they are continued."""
        return sum(model.open for model in self.models)

    @property
    def to_generate(self) -> int:
        """Clips to pay for."""
        return sum(model.to_generate for model in self.models)

    @property
    def worst_case(self) -> MicroUsd:
        """What they cost at the most."""
        return MicroUsd(sum(model.worst_case for model in self.models))

    @property
    def fits(self) -> bool:
        """Whether every budget has room for the worst case."""
        return all(budget.fits for budget in self.budgets)


@dataclass(frozen=True, slots=True)
class PlannedClip:
    """One clip, reduced to what is counted: 100,000 requests would be a gigabyte."""

    generation_hash: str
    kind: Kind
    run: int
    collection: str
    model: str
    worst_case: MicroUsd
    by_time: bool = False


def make_plan(
    prompts: Iterable[Prompt],
    catalog: Catalog,
    prompts_dir: Path,
    ledger: LedgerReader,
    caps: BudgetCaps,
    *,
    now: datetime,
    prompts_a_run: int,
    force: bool = False,
    max_usd: MicroUsd | None = None,
    key_cap: KeyCap | None = None,
) -> Plan:
    """Look all generations up and add their worst cases.

    The ledger is asked in bulk: 100,000 prompts are some forty queries.

    Args:
        prompts: What is to be made.
        catalog: Their models and prices.
        prompts_dir: Where reference files are.
        ledger: What is stored, open and spent.
        caps: The budgets' caps.
        now: Decides prices and periods.
        prompts_a_run: Prompts of a kind that one run takes; more are several runs.
        force: Plan to pay again for what is stored.
        max_usd: A cap for all of it, beside the configured ones.
        key_cap: The cap of the API key that it is paid on behalf of.

    Raises:
        UnknownModelError: A prompt's model is not in the catalog.
        UnpricedModelError: A model has no price now.
    """
    counting = _Counting()
    wanted: list[PlannedClip] = []
    fallbacks: dict[str, tuple[FallbackPlan, ...]] = {}
    for prompt in prompts:
        if prompt.model not in fallbacks:
            fallbacks[prompt.model] = tuple(_fallbacks(prompt, catalog, now))
        run = counting.prompts[prompt.kind] // prompts_a_run
        counting.prompts[prompt.kind] += 1
        wanted.extend(wanted_clips(prompt, run, catalog, prompts_dir, now))
    hashes = [clip.generation_hash for clip in wanted]
    stored = set[str]() if force else ledger.stored_generations(hashes)
    begun = ledger.open_generations(hashes) - stored
    stand_ins = ledger.stand_ins(hashes)
    instead = set[tuple[str, str]]() if force else stand_ins.stored
    for clip in wanted:
        as_stand_in = (clip.generation_hash, clip.collection)
        if clip.generation_hash in stored or as_stand_in in instead:
            counting.count(clip, _Fate.CACHED)
        elif clip.generation_hash in begun or as_stand_in in stand_ins.open:
            counting.count(clip, _Fate.OPEN)
        else:
            counting.count(clip, _Fate.TO_GENERATE)
            # A second prompt that asks for the very same clip finds it stored.
            stored.add(clip.generation_hash)
    budgets = _budgets(counting, ledger, caps, now, max_usd, key_cap)
    return Plan(counting.prompts.total(), counting.models(fallbacks), budgets)


class _Fate(StrEnum):
    CACHED = "cached"
    OPEN = "open"
    TO_GENERATE = "to_generate"


class _Counting:
    """Sums over the clips, by model and by what budgets are kept for, in micro-dollars."""

    def __init__(self) -> None:
        self.prompts: Counter[Kind] = Counter()
        self.to_pay: list[PlannedClip] = []
        self.by_collection: dict[str, list[PlannedClip]] = {}
        self.by_run: dict[tuple[Kind, int], list[PlannedClip]] = {}
        self._clips: Counter[tuple[str, Kind, _Fate]] = Counter()
        self._by_model: Counter[tuple[str, Kind]] = Counter()

    def count(self, clip: PlannedClip, fate: _Fate) -> None:
        self._clips[clip.model, clip.kind, fate] += 1
        amount = clip.worst_case if fate is _Fate.TO_GENERATE else 0
        self._by_model[clip.model, clip.kind] += amount
        groups = (
            self.to_pay,
            self.by_collection.setdefault(clip.collection, []),
            self.by_run.setdefault((clip.kind, clip.run), []),
        )
        if fate is _Fate.TO_GENERATE:
            for group in groups:
                group.append(clip)

    def models(self, fallbacks: Mapping[str, tuple[FallbackPlan, ...]]) -> tuple[ModelPlan, ...]:
        plans = [
            ModelPlan(
                model,
                kind,
                cached=self._clips[model, kind, _Fate.CACHED],
                open=self._clips[model, kind, _Fate.OPEN],
                to_generate=self._clips[model, kind, _Fate.TO_GENERATE],
                worst_case=MicroUsd(amount),
                fallbacks=fallbacks[model],
            )
            for (model, kind), amount in self._by_model.items()
        ]
        return tuple(sorted(plans, key=lambda plan: (-plan.worst_case, plan.model)))


def _fallbacks(prompt: Prompt, catalog: Catalog, now: datetime) -> Iterator[FallbackPlan]:
    model = catalog.get(prompt.model)
    text, today = prompt.full_text, now.date()
    for fallback in model.fallbacks:
        ratio = price_ratio(catalog, model, fallback, prompt.inputs, text=text, on=today)
        yield FallbackPlan(fallback.model, ratio)


def wanted_clips(
    prompt: Prompt, run: int, catalog: Catalog, prompts_dir: Path, now: datetime
) -> Iterator[PlannedClip]:
    """Yield a prompt's clips, each with its worst case.

    Raises:
        UnknownModelError: The prompt's model is not in the catalog.
        UnpricedModelError: It has no price now.
    """
    for variant in range(1, prompt.variants + 1):
        request = resolve(prompt, variant, catalog, prompts_dir)
        amount = worst_case(request.model, request.inputs, on=now.date())
        by_time = price_on(request.model, now.date()).unit is PriceUnit.PREDICT_SECOND
        yield PlannedClip(
            request.generation_hash,
            prompt.kind,
            run,
            prompt.collection,
            prompt.model,
            amount,
            by_time,
        )


def _budgets(
    counting: _Counting,
    ledger: LedgerReader,
    caps: BudgetCaps,
    now: datetime,
    max_usd: MicroUsd | None,
    key_cap: KeyCap | None,
) -> tuple[BudgetPlan, ...]:
    """Return what each budget has left, is asked for and lets through."""
    asked: dict[BudgetLine, list[PlannedClip]] = {}
    # Without a collection there are still the budgets that everything falls under.
    for collection, clips in [("", []), *counting.by_collection.items()]:
        lines = budget_lines(caps, collection=collection, run_id="", now=now, key_cap=key_cap)
        for line in lines:
            if line.budget == of_collection(collection):
                asked[line] = clips
            elif line.period != "run":
                asked[line] = counting.to_pay
    for (kind, _), clips in counting.by_run.items():
        for line in budget_lines(caps, collection="", run_id=f"each of {kind} clips", now=now):
            if line.period == "run":
                asked[line] = max(asked.get(line, []), clips, key=_needed)
    if max_usd is not None:
        asked[BudgetLine("this command", "run", None, max_usd)] = counting.to_pay
    uses = ledger.uses_of([line for line in asked if line.period != "run"], now)
    plans = [_budget_plan(line, clips, uses.get(line.budget)) for line, clips in asked.items()]
    return tuple(sorted(plans, key=lambda plan: plan.budget))


def _budget_plan(
    line: BudgetLine, clips: Sequence[PlannedClip], use: BudgetUse | None
) -> BudgetPlan:
    used = 0 if use is None else use.charged + use.reserved
    headroom = max(0, line.cap - used)
    sums = accumulate(clip.worst_case for clip in clips)
    at_once = sum(1 for _ in takewhile(lambda amount: amount <= headroom, sums))
    return BudgetPlan(
        line.budget,
        line.cap,
        headroom=MicroUsd(headroom),
        needed=MicroUsd(_needed(clips)),
        clips=len(clips),
        at_once=at_once,
        may_follow=at_once < len(clips) and any(clip.by_time for clip in clips[:at_once]),
    )


def _needed(clips: Sequence[PlannedClip]) -> int:
    return sum(clip.worst_case for clip in clips)
