"""What a plan counts as cached, open and to be paid for, and what it asks of the budgets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import event

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.catalog.reader import Catalog, load_catalog
from asset_pipeline.catalog.spec import PriceRule, PriceUnit
from asset_pipeline.clock import SystemClock
from asset_pipeline.generation.planning.budget_fit import affordable
from asset_pipeline.generation.planning.plan import BudgetPlan, Plan, make_plan
from asset_pipeline.generation.request import resolve
from asset_pipeline.ledger.budgets import BudgetCaps
from asset_pipeline.ledger.engine import open_engine
from asset_pipeline.ledger.ledger import Ledger, Payer
from asset_pipeline.ledger.records import Intent, StoredFile
from asset_pipeline.ledger.reports import LedgerReader
from asset_pipeline.ledger.schema import BillingState
from asset_pipeline.money import MicroUsd
from asset_pipeline.prompts.spec import Prompt

_NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
_CATALOG = load_catalog(None)
_HOUSE = Prompt(
    kind=Kind.IMAGE,
    prompt_id="house",
    collection="houses",
    text="A house",
    style="",
    model="black-forest-labs/flux-schnell",
    variants=2,
    inputs={},
    tags=(),
    reference=None,
    reference_sha256=None,
    path="images/houses.yaml",
)
_HELLO = replace(
    _HOUSE, kind=Kind.AUDIO, prompt_id="hello", collection="talk", text="x" * 1000, variants=1,
    model="minimax/speech-02-turbo",
)  # fmt: skip


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A new ledger without a daily cap."""
    opened = Ledger(
        open_engine(SecretStr(f"sqlite:///{tmp_path / 'ledger.db'}")), SystemClock(), _caps
    )
    yield opened
    opened.close()


def _caps() -> BudgetCaps:
    return BudgetCaps(
        total_usd=Decimal(1),
        daily_usd=None,
        run_usd=Decimal("0.05"),
        collections_usd={"talk": Decimal("0.01")},
    )


def _plan(ledger: Ledger, *prompts: Prompt, prompts_a_run: int = 10, force: bool = False) -> Plan:
    return make_plan(
        prompts,
        _CATALOG,
        Path("prompts"),
        LedgerReader(ledger.engine),
        _caps(),
        now=_NOW,
        prompts_a_run=prompts_a_run,
        force=force,
    )


def _reserve(ledger: Ledger, prompt: Prompt, variant: int) -> Intent:
    request = resolve(prompt, variant, _CATALOG, Path("prompts"))
    worker = ledger.start_worker("run")
    found = ledger.reserve(request.new_intent(_NOW.date()), Payer("run", worker))
    assert isinstance(found, Intent)
    return found


def _deliver(ledger: Ledger, prompt: Prompt, variant: int) -> None:
    intent = ledger.start_submitting(_reserve(ledger, prompt, variant))
    intent = ledger.accept(intent, f"prediction-{variant}")
    intent = ledger.charge(intent, MicroUsd(3000), billed=BillingState.BILLED, predict_seconds=None)
    ledger.deliver(intent, StoredFile("k", "file:///k", "0" * 64, 1, "image/webp", 1, 1, None), ())


def test_an_empty_ledger_means_paying_for_every_variant(ledger: Ledger) -> None:
    """Each variant is a clip of its own, at the most that its price rule allows."""
    plan = _plan(ledger, _HOUSE, _HELLO)
    assert (plan.prompts, plan.clips, plan.cached, plan.open, plan.to_generate) == (2, 3, 0, 0, 3)
    assert plan.worst_case == 2 * 3000 + 60_000
    assert [model.model for model in plan.models] == [_HELLO.model, _HOUSE.model]


def test_stored_clips_are_free_and_open_ones_are_paid_for_already(ledger: Ledger) -> None:
    """A stored clip is cached, an open intent is continued, and only the rest costs."""
    _deliver(ledger, _HOUSE, 1)
    _reserve(ledger, _HOUSE, 2)
    plan = _plan(ledger, _HOUSE)
    assert (plan.cached, plan.open, plan.to_generate, plan.worst_case) == (1, 1, 0, 0)
    forced = _plan(ledger, _HOUSE, force=True)
    assert (forced.cached, forced.open, forced.to_generate) == (0, 1, 1)


def test_a_renamed_prompt_is_still_cached(ledger: Ledger) -> None:
    """The generation counts, not the prompt's name or place."""
    _deliver(ledger, _HOUSE, 1)
    moved = replace(_HOUSE, prompt_id="villa", collection="other", variants=1)
    assert _plan(ledger, moved).cached == 1


def test_two_prompts_that_ask_for_the_same_clip_pay_once(ledger: Ledger) -> None:
    """The second of two equal generations finds the first one's clip."""
    twin = replace(_HOUSE, prompt_id="twin")
    plan = _plan(ledger, _HOUSE, twin)
    assert (plan.to_generate, plan.cached) == (2, 2)
    assert plan.worst_case == 6000


def test_budgets_are_asked_for_what_falls_under_them(ledger: Ledger) -> None:
    """The total bears all, a collection its own, a run the dearest of its kind."""
    _deliver(ledger, replace(_HOUSE, text="something else"), 1)
    budgets = {one.budget: one for one in _plan(ledger, _HOUSE, _HELLO).budgets}
    assert budgets["total"].headroom == 1_000_000 - 3000
    assert budgets["total"].needed == 66_000
    assert budgets["total"].fits
    assert budgets["collection:talk"].needed == 60_000
    assert not budgets["collection:talk"].fits
    runs = {name: one.needed for name, one in budgets.items() if name.startswith("run:")}
    assert sorted(runs.values()) == [6000, 60_000]


def test_a_run_is_asked_for_its_own_prompts_only(ledger: Ledger) -> None:
    """More prompts than a run takes are several runs, each under the run's cap."""
    houses = [replace(_HOUSE, prompt_id=f"h{n}", text=f"House {n}") for n in range(20)]
    (run,) = [one for one in _plan(ledger, *houses).budgets if one.budget.startswith("run:")]
    assert run.needed == 10 * 2 * 3000
    assert not run.fits
    (run,) = [
        one for one in _plan(ledger, *houses, prompts_a_run=5).budgets if "run:" in one.budget
    ]
    assert run.fits


def test_an_empty_plan_still_shows_what_budgets_have_left(ledger: Ledger) -> None:
    """Without prompts nothing is needed, and the general budgets are listed."""
    plan = _plan(ledger)
    assert plan.fits
    assert plan.clips == 0
    assert [one.budget for one in plan.budgets] == ["total"]


def test_the_ledger_is_asked_in_bulk(ledger: Ledger) -> None:
    """The number of queries does not grow with the prompts, only with every five thousand."""
    prompts = [replace(_HOUSE, prompt_id=f"h{n}", text=f"House {n}") for n in range(3000)]
    statements: list[str] = []
    event.listen(
        ledger.engine,
        "before_cursor_execute",
        lambda _c, _cursor, statement, *_: statements.append(statement),
    )
    assert _plan(ledger, *prompts, prompts_a_run=1000).to_generate == 6000
    assert len([one for one in statements if one.startswith("SELECT")]) < 13


def test_fallbacks_show_their_price_as_a_multiple(ledger: Ledger) -> None:
    """In the order in which they are asked; one that can't take the inputs says so."""
    pro = replace(_HOUSE, model="black-forest-labs/flux-1.1-pro", inputs={"aspect_ratio": "16:9"})
    (model,) = _plan(ledger, pro).models
    assert [(fallback.model, fallback.price_ratio) for fallback in model.fallbacks] == [
        ("black-forest-labs/flux-dev", Decimal("0.625")),
        ("black-forest-labs/flux-schnell", Decimal("0.075")),
    ]
    ideogram = replace(pro, model="ideogram-ai/ideogram-v3-quality", inputs={"aspect_ratio": "1:3"})
    (model,) = _plan(ledger, ideogram).models
    assert [fallback.price_ratio for fallback in model.fallbacks] == [None, None]


def _by_time(usd: str = "0.000975") -> Catalog:
    """The catalog with a price by the second for a model that waits up to ten minutes."""
    rule = PriceRule(
        unit=PriceUnit.PREDICT_SECOND,
        usd=Decimal(usd),
        effective=date(2026, 1, 1),
        source="a test",
    )
    model = _CATALOG.get(_SDXL).model_copy(update={"prices": (rule,)})
    return Catalog({**_CATALOG.models, _SDXL: model})


_SDXL = "stability-ai/sdxl"


def _budget_of(
    ledger: Ledger, prompts: list[Prompt], catalog: Catalog, caps: BudgetCaps, max_usd: int
) -> dict[str, BudgetPlan]:
    plan = make_plan(
        prompts,
        catalog,
        Path("prompts"),
        LedgerReader(ledger.engine),
        caps,
        now=_NOW,
        prompts_a_run=10,
        max_usd=MicroUsd(max_usd),
    )
    return {one.budget: one for one in plan.budgets}


def test_a_plan_says_what_a_cap_lets_through(ledger: Ledger) -> None:
    """Of eight at $0.585 one fits at once, and more follow; at a price a picture none follows."""
    caps = BudgetCaps(total_usd=Decimal(100), daily_usd=None)
    slow = [
        replace(_HOUSE, prompt_id=f"s{n}", text=f"Slow {n}", model=_SDXL, variants=1)
        for n in range(8)
    ]
    found = _budget_of(ledger, slow, _by_time(), caps, 1_000_000)
    command = found["this command"]
    assert (command.at_once, command.clips, command.fits, command.may_follow) == (1, 8, False, True)
    assert (found["total"].at_once, found["total"].may_follow) == (8, False)
    houses = [replace(_HOUSE, prompt_id=f"h{n}", text=f"House {n}", variants=1) for n in range(4)]
    command = _budget_of(ledger, houses, _CATALOG, caps, 6000)["this command"]
    assert (command.at_once, command.clips, command.may_follow) == (2, 4, False)


def test_a_plan_knows_what_was_spent_before_a_cap_was_set(ledger: Ledger) -> None:
    """A budget that no payment has opened yet has less left than its cap."""
    _deliver(ledger, _HOUSE, 1)
    caps = BudgetCaps(
        total_usd=Decimal(1), daily_usd=None, collections_usd={"houses": Decimal("0.004")}
    )
    found = _budget_of(ledger, [replace(_HOUSE, text="new")], _CATALOG, caps, 10**6)
    assert found["collection:houses"].headroom == 1000
    assert found["collection:houses"].at_once == 0


def test_batches_follow_what_clips_cost_and_not_what_is_held(ledger: Ledger) -> None:
    """Clips by time fit one by one at the worst, and are added up as what they have cost."""
    catalog = _by_time()
    caps = BudgetCaps(total_usd=Decimal(1), daily_usd=None, run_usd=Decimal("0.6"))
    slow = [
        replace(_HOUSE, prompt_id=f"s{n}", text=f"Slow {n}", model=_SDXL, variants=1)
        for n in range(8)
    ]

    def asked() -> list[int]:
        found = affordable(
            slow[1:],
            catalog,
            Path("prompts"),
            LedgerReader(ledger.engine),
            caps,
            now=_NOW,
            prompts_a_run=10,
        )
        return [len(batch) for batch in found.batches]

    assert asked() == [1]  # nothing is known of what they cost
    request = resolve(slow[0], 1, catalog, Path("prompts"))
    ledger = Ledger(ledger.engine, SystemClock(), lambda: caps)
    payer = Payer("run", ledger.start_worker("run"))
    intent = ledger.reserve(request.new_intent(_NOW.date()), payer)
    assert isinstance(intent, Intent)
    intent = ledger.accept(ledger.start_submitting(intent), "prediction-slow")
    assert asked() == [1]  # what is held by the living is not spent
    intent = ledger.charge(intent, MicroUsd(100), billed=BillingState.BILLED, predict_seconds=0.1)
    ledger.deliver(intent, StoredFile("k", "file:///k", "0" * 64, 1, "image/webp", 1, 1, None), ())
    assert asked() == [7]
