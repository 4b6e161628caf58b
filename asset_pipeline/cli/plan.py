"""`plan`: look everything up, add the worst cases, compare them with the budgets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal

from asset_pipeline.cli._context import CliContext, open_context, show_problems, states_of
from asset_pipeline.cli._ledger import open_ledger, read_caps
from asset_pipeline.cli._options import (
    AsJson,
    Collections,
    Everything,
    Failed,
    Kinds,
    Limit,
    MaxUsd,
    Missing,
    PromptIds,
    Stale,
    Tags,
    read_amount,
)
from asset_pipeline.cli._output import say, show_table, stdout, write_json
from asset_pipeline.cli._selection import PromptSelection
from asset_pipeline.clock import SystemClock
from asset_pipeline.generation.planning.plan import FallbackPlan, Plan, make_plan
from asset_pipeline.ledger.reports import LedgerReader
from asset_pipeline.money import MicroUsd, format_usd, to_decimal
from asset_pipeline.prompts.spec import Prompt
from asset_pipeline.prompts.states import PromptState, PromptStates


def plan(
    *,
    kind: Kinds = None,
    collection: Collections = None,
    prompt: PromptIds = None,
    tag: Tags = None,
    missing: Missing = False,
    failed: Failed = False,
    stale: Stale = False,
    everything: Everything = False,
    limit: Limit = None,
    max_usd: MaxUsd = None,
    as_json: AsJson = False,
) -> None:
    """Show what `generate` with the same flags would make and at most cost. Nothing is sent."""
    choice = PromptSelection(
        kinds=kind,
        collections=collection,
        prompt_ids=prompt,
        tags=tag,
        missing=missing,
        failed=failed,
        stale=stale,
        everything=everything,
        limit=limit,
    )
    cap = None if max_usd is None else read_amount("--max-usd", max_usd)
    show_plan(choice, as_json=as_json, max_usd=cap)


# A Dagster run takes so many partitions; the number is the clip assets' own, and a test compares
# the two, because asking the assets would import Dagster.
PROMPTS_A_RUN = 1000


def show_plan(choice: PromptSelection, *, as_json: bool, max_usd: MicroUsd | None = None) -> None:
    """Print the plan of the chosen prompts, under a cap of this command's own if there is one.

    Raises:
        AssetPipelineError: Prompts, catalog or ledger cannot be read.
    """
    workshop = open_context()
    show_problems(workshop.library)
    with open_ledger(workshop.settings) as ledger:
        states = PromptStates()
        if choice.by_state:
            states = states_of(workshop.library.prompts.values(), ledger)
        prompts = choice.take(workshop.library, lambda: states)
        plan = plan_of(prompts, workshop, ledger, max_usd=max_usd)
    by_state = Counter(states.of(prompt) for prompt in prompts if choice.by_state)
    left_out = len(choice.left_out(workshop.library, states))
    if as_json:
        problems = len(workshop.library.problems)
        _write(plan, choice, by_state, left_out=left_out, problems=problems)
    else:
        _show(plan, choice)
        _tell_states(choice, by_state, left_out)


def plan_of(
    prompts: Sequence[Prompt],
    workshop: CliContext,
    ledger: LedgerReader,
    *,
    force: bool = False,
    max_usd: MicroUsd | None = None,
) -> Plan:
    """Return the plan of prompts under the settings in force."""
    return make_plan(
        prompts,
        workshop.catalog,
        workshop.settings.prompts_dir,
        ledger,
        read_caps(workshop.settings, ledger),
        now=SystemClock().now(),
        prompts_a_run=PROMPTS_A_RUN,
        force=force,
        max_usd=max_usd,
    )


def _show(plan: Plan, choice: PromptSelection) -> None:
    console = stdout()
    show_table(
        console,
        f"Plan for {plan.prompts:,} prompts ({choice.describe()})",
        ["model", "kind", "cached", "open", "to generate", "worst case", "falls back to"],
        [
            *(
                (
                    model.model,
                    model.kind,
                    f"{model.cached:,}",
                    f"{model.open:,}",
                    f"{model.to_generate:,}",
                    format_usd(model.worst_case),
                    ", ".join(map(_fallback, model.fallbacks)),
                )
                for model in plan.models
            ),
            (
                "all",
                "",
                f"{plan.cached:,}",
                f"{plan.open:,}",
                f"{plan.to_generate:,}",
                format_usd(plan.worst_case),
                "",
            ),
        ],
        numbers=["cached", "open", "to generate", "worst case"],
    )
    show_table(
        console,
        "Budgets",
        ["budget", "cap", "headroom", "needed", "at once", ""],
        [
            (
                budget.budget,
                format_usd(budget.cap),
                format_usd(budget.headroom),
                format_usd(budget.needed),
                f"{budget.at_once:,} of {budget.clips:,}",
                "fits" if budget.fits else "more may follow" if budget.may_follow else "SHORT",
            )
            for budget in plan.budgets
        ],
        numbers=["cap", "headroom", "needed", "at once"],
    )
    say(console, _verdict(plan), "bold green" if plan.fits else "bold red")


def _tell_states(choice: PromptSelection, by_state: Counter[PromptState], left_out: int) -> None:
    console = stdout()
    refused, cancelled = by_state[PromptState.REFUSED], by_state[PromptState.CANCELLED]
    if refused:
        say(console, f"Of these prompts a budget refused {refused:,} earlier.")
    if cancelled:
        say(console, f"Of these prompts {cancelled:,} were begun and stopped.")
    if left_out:
        say(
            console,
            f"{left_out:,} failed earlier and are not planned: `{choice.take_up()}` takes them up.",
            "yellow",
        )


def _fallback(fallback: FallbackPlan) -> str:
    """Return a fallback with its price, as a multiple of the model's own."""
    name = fallback.model.rpartition("/")[2]
    ratio = fallback.price_ratio
    return f"{name} (can't take these inputs)" if ratio is None else f"{name} ({ratio:.2f}x)"


def _verdict(plan: Plan) -> str:
    """Return the plan in a sentence."""
    if not plan.prompts:
        return "There is nothing to do. --all plans every prompt."
    clips = (
        f"{plan.clips:,} clips: {plan.cached:,} cached, {plan.open:,} open (continued, their money "
        f"is set aside), {plan.to_generate:,} to generate for at most "
        f"{format_usd(plan.worst_case)}."
    )
    if plan.fits:
        return f"{clips} The budgets bear it."
    short = [budget for budget in plan.budgets if not budget.fits]
    through = "; ".join(
        f"{budget.budget} lets {budget.at_once:,} of {budget.clips:,} through at once"
        for budget in short
    )
    rest = "What is over the cap would be refused."
    if any(budget.may_follow for budget in short):
        rest = (
            "The others wait for money that is reserved for the longest time and comes back; what "
            "is over the cap even then would be refused."
        )
    return f"{clips} At the worst it does not fit: {through}. {rest}"


def _rounded(ratio: Decimal | None) -> Decimal | None:
    return None if ratio is None else round(ratio, 4)


def _write(
    plan: Plan,
    choice: PromptSelection,
    by_state: Counter[PromptState],
    *,
    left_out: int,
    problems: int,
) -> None:
    write_json(
        {
            "selection": choice.describe(),
            "prompts": plan.prompts,
            "unreadable": problems,
            "refused": by_state[PromptState.REFUSED],
            "cancelled": by_state[PromptState.CANCELLED],
            "failed_before": left_out,
            "clips": plan.clips,
            "cached": plan.cached,
            "open": plan.open,
            "to_generate": plan.to_generate,
            "worst_case_usd": to_decimal(plan.worst_case),
            "fits": plan.fits,
            "models": [
                {
                    "model": model.model,
                    "kind": model.kind,
                    "cached": model.cached,
                    "open": model.open,
                    "to_generate": model.to_generate,
                    "worst_case_usd": to_decimal(model.worst_case),
                    "fallbacks": [
                        {"model": fallback.model, "price_ratio": _rounded(fallback.price_ratio)}
                        for fallback in model.fallbacks
                    ],
                }
                for model in plan.models
            ],
            "budgets": [
                {
                    "budget": budget.budget,
                    "cap_usd": to_decimal(budget.cap),
                    "headroom_usd": to_decimal(budget.headroom),
                    "needed_usd": to_decimal(budget.needed),
                    "fits": budget.fits,
                    "clips": budget.clips,
                    "at_once": budget.at_once,
                    "may_follow": budget.may_follow,
                }
                for budget in plan.budgets
            ],
        }
    )
