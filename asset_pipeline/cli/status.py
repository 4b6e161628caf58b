"""`status`: how the prompts, the open predictions and the budgets stand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.cli._charges import charge_fields, show_charges
from asset_pipeline.cli._context import open_context, show_problems, states_of
from asset_pipeline.cli._health import (
    Health,
    breaker_fields,
    rate_fields,
    read_health,
    show_troubles,
)
from asset_pipeline.cli._ledger import open_ledger, read_caps
from asset_pipeline.cli._options import AsJson
from asset_pipeline.cli._output import say, show_table, stdout, write_json
from asset_pipeline.ledger.budget_thresholds import reached, used_percent
from asset_pipeline.ledger.records import BudgetBalance, Intent
from asset_pipeline.ledger.reports import OpenIntents
from asset_pipeline.ledger.schema import IntentState
from asset_pipeline.money import format_usd, to_decimal
from asset_pipeline.prompts.spec import Prompt
from asset_pipeline.prompts.states import PromptState, PromptStates


def status(*, as_json: AsJson = False) -> None:
    """Show how the prompts stand by collection, what is open, and what the budgets have left."""
    workshop = open_context()
    show_problems(workshop.library)
    prompts = workshop.library.prompts.values()
    with open_ledger(workshop.settings) as ledger:
        groups = _grouped(prompts, states_of(prompts, ledger))
        accounts = ledger.accounts()
        open_intents, budgets = ledger.open_intents(), ledger.balances()
        warn_at = read_caps(workshop.settings, ledger).warn_at_percent
        health, noted = read_health(ledger.engine), ledger.noted_charges()
    if as_json:
        problems = len(workshop.library.problems)
        _write(groups, open_intents, budgets, warn_at, health, noted, accounts, problems=problems)
    else:
        _show(groups, open_intents, budgets, warn_at)
        _show_accounts(accounts)
        show_charges(stdout(), noted)
        show_troubles(stdout(), health)


_WHAT_NEXT = {
    IntentState.UNKNOWN: "proved by `reconcile` or `generate`; their money stays reserved",
    IntentState.QUESTION: "a person decides, see `reconcile`; their money stays reserved",
}
_CONTINUED = "finished first by `reconcile` or the next `generate`"


@dataclass(slots=True)
class _Group:
    """The prompts of one collection and kind, by state."""

    collection: str
    kind: Kind
    states: Counter[PromptState] = field(default_factory=Counter[PromptState])
    stale: int = 0

    @property
    def cells(self) -> dict[str, int]:
        counts = {state.value: self.states[state] for state in PromptState}
        return {"prompts": self.states.total(), **counts, "stale": self.stale}


def _grouped(prompts: Iterable[Prompt], states: PromptStates) -> list[_Group]:
    groups: dict[tuple[Kind, str], _Group] = {}
    for prompt in prompts:
        key = (prompt.kind, prompt.collection)
        group = groups.setdefault(key, _Group(prompt.collection, prompt.kind))
        group.states[states.of(prompt)] += 1
        group.stale += states.is_stale(prompt)
    return list(groups.values())


def _show(
    groups: list[_Group],
    open_intents: list[OpenIntents],
    budgets: list[BudgetBalance],
    warn_at: Sequence[int],
) -> None:
    console = stdout()
    counts = ["prompts", *(state.value for state in PromptState), "stale"]
    show_table(
        console,
        "Prompts (refused: by a budget; stale: edited after its clips landed, counts in its state)",
        ["collection", "kind", *counts],
        [
            (group.collection, group.kind, *(f"{count:,}" for count in group.cells.values()))
            for group in groups
        ],
        numbers=counts,
    )
    if open_intents:
        show_table(
            console,
            "Open predictions",
            ["state", "clips", "reserved", "what happens next"],
            [
                (
                    group.state,
                    f"{group.count:,}",
                    format_usd(group.reserved),
                    _WHAT_NEXT.get(group.state, _CONTINUED),
                )
                for group in open_intents
            ],
            numbers=["clips", "reserved"],
        )
    else:
        say(console, "No prediction is open.")
    show_table(
        console,
        "Budgets that were used",
        ["budget", "cap", "charged", "reserved", "headroom", "used", ""],
        [
            (
                one.budget,
                format_usd(one.cap) if one.is_capped else "lifted",
                *(format_usd(amount) for amount in (one.charged, one.reserved)),
                format_usd(one.headroom) if one.is_capped else "",
                f"{used_percent(one)} %" if one.is_capped else "",
                _warning(one, warn_at),
            )
            for one in budgets
        ],
        numbers=["cap", "charged", "reserved", "headroom", "used"],
    )


def _show_accounts(accounts: Mapping[str, int]) -> None:
    """Print whose the clips are, where they are not all of one account."""
    if len(accounts) > 1:
        show_table(
            stdout(),
            "Clips by the account that paid for them",
            ["account", "clips"],
            [(name or "(not recorded)", f"{count:,}") for name, count in accounts.items()],
            numbers=["clips"],
        )


def _warning(budget: BudgetBalance, warn_at: Sequence[int]) -> str:
    passed = reached(budget, warn_at)
    return "" if passed is None else f"passed {passed} %"


def _write(
    groups: list[_Group],
    open_intents: list[OpenIntents],
    budgets: list[BudgetBalance],
    warn_at: Sequence[int],
    health: Health,
    noted: Sequence[Intent],
    accounts: Mapping[str, int],
    *,
    problems: int,
) -> None:
    write_json(
        {
            "collections": [
                {"collection": group.collection, "kind": group.kind, **group.cells}
                for group in groups
            ],
            "unreadable": problems,
            "open": [
                {
                    "state": group.state,
                    "clips": group.count,
                    "reserved_usd": to_decimal(group.reserved),
                }
                for group in open_intents
            ],
            "budgets": [
                {
                    "budget": one.budget,
                    "cap_usd": to_decimal(one.cap) if one.is_capped else None,
                    "charged_usd": to_decimal(one.charged),
                    "reserved_usd": to_decimal(one.reserved),
                    "headroom_usd": to_decimal(one.headroom) if one.is_capped else None,
                    "used_percent": used_percent(one),
                    "passed_percent": reached(one, warn_at),
                }
                for one in budgets
            ],
            "charges_to_look_at": charge_fields(noted),
            "accounts": [
                {"account": account, "clips": count} for account, count in accounts.items()
            ],
            "breakers": [breaker_fields(each) for each in health.breakers],
            "rate": rate_fields(health),
        }
    )
