"""What a run would do and at most cost, worked out before a cent moves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path

from asset_pipeline.catalog.fallbacks import price_ratio
from asset_pipeline.catalog.kind import Kind
from asset_pipeline.catalog.pricing import worst_case
from asset_pipeline.catalog.reader import Catalog
from asset_pipeline.generation.request import resolve
from asset_pipeline.ledger.caps import BudgetCaps, BudgetLine, budget_lines
from asset_pipeline.ledger.reading import LedgerReader
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
    """What a plan asks of one budget at the most."""

    budget: str
    cap: MicroUsd
    headroom: MicroUsd
    needed: MicroUsd

    @property
    def fits(self) -> bool:
        """Whether the budget bears the worst case."""
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
        """Whether every budget bears the worst case."""
        return all(budget.fits for budget in self.budgets)


@dataclass(frozen=True, slots=True)
class WantedClip:
    """One clip, reduced to what is counted: 100,000 requests would be a gigabyte."""

    generation_hash: str
    kind: Kind
    run: int
    collection: str
    model: str
    worst_case: MicroUsd


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

    Raises:
        UnknownModelError: A prompt's model is not in the catalog.
        UnpricedModelError: A model has no price now.
    """
    counting = _Counting()
    wanted: list[WantedClip] = []
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
    budgets = _budgets(counting, ledger, caps, now)
    return Plan(counting.prompts.total(), counting.models(fallbacks), budgets)


class _Fate(StrEnum):
    CACHED = "cached"
    OPEN = "open"
    TO_GENERATE = "to_generate"


class _Counting:
    """Sums over the clips, by model and by what budgets are kept for, in micro-dollars."""

    def __init__(self) -> None:
        self.prompts: Counter[Kind] = Counter()
        self.by_collection: Counter[str] = Counter()
        self.by_run: Counter[tuple[Kind, int]] = Counter()
        self._clips: Counter[tuple[str, Kind, _Fate]] = Counter()
        self._by_model: Counter[tuple[str, Kind]] = Counter()

    def count(self, clip: WantedClip, fate: _Fate) -> None:
        self._clips[clip.model, clip.kind, fate] += 1
        amount = clip.worst_case if fate is _Fate.TO_GENERATE else 0
        self._by_model[clip.model, clip.kind] += amount
        self.by_collection[clip.collection] += amount
        self.by_run[clip.kind, clip.run] += amount

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
) -> Iterator[WantedClip]:
    """Yield a prompt's clips, each with its worst case.

    Raises:
        UnknownModelError: The prompt's model is not in the catalog.
        UnpricedModelError: It has no price now.
    """
    for variant in range(1, prompt.variants + 1):
        request = resolve(prompt, variant, catalog, prompts_dir)
        amount = worst_case(request.model, request.inputs, on=now.date())
        yield WantedClip(
            request.generation_hash, prompt.kind, run, prompt.collection, prompt.model, amount
        )


def _budgets(
    counting: _Counting, ledger: LedgerReader, caps: BudgetCaps, now: datetime
) -> tuple[BudgetPlan, ...]:
    """Return what each budget has left and is asked for."""
    used = {one.budget: one.charged + one.reserved for one in ledger.balances()}
    asked: Counter[BudgetLine] = Counter()
    # Without a collection there are still the budgets that everything falls under.
    for collection, amount in [("", 0), *counting.by_collection.items()]:
        for line in budget_lines(caps, collection=collection, run_id="", now=now):
            if line.period != "run":
                asked[line] += amount
    for (kind, _), amount in counting.by_run.items():
        for line in budget_lines(caps, collection="", run_id=f"each of {kind} clips", now=now):
            if line.period == "run":
                asked[line] = max(asked[line], amount)
    plans = [
        BudgetPlan(
            line.budget,
            line.cap,
            headroom=MicroUsd(max(0, line.cap - used.get(line.budget, 0))),
            needed=MicroUsd(amount),
        )
        for line, amount in asked.items()
    ]
    return tuple(sorted(plans, key=lambda plan: plan.budget))
