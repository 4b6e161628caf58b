"""What `plan` and `generate` report, as values and data frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from asset_pipeline.errors import ExitCode

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class PlanReport:
    """What `generate` with the same selection would make and at most cost.

    Attributes:
        prompts: Prompts chosen.
        clips: Clips wanted, variants counted.
        cached: Of these, stored already: they cost nothing.
        open: Of these, begun already: their money is set aside.
        to_generate: Of these, to be paid for.
        worst_case_usd: What they cost at the most.
        fits: Whether every budget has room for that.
        models: One row a model: its share of the clips.
        budgets: One row a budget: what it has and what is asked of it.
    """

    prompts: int
    clips: int
    cached: int
    open: int
    to_generate: int
    worst_case_usd: Decimal
    fits: bool
    models: pd.DataFrame
    budgets: pd.DataFrame


@dataclass(frozen=True, slots=True)
class GenerationReport:
    """What `generate` did.

    Attributes:
        prompts: Prompts chosen.
        done: Of these, all clips landed.
        failed: Of these, at least one clip failed.
        refused: Of these, refused by a budget; nothing was sent for them.
        cancelled: Of these, stopped before they ended.
        clips_generated: Clips made now.
        clips_cached: Clips that were stored before.
        paid_usd: What the provider is owed for it, failed attempts included.
        seconds: How long it took.
        exit_code: What the command would have ended with; 0 when all is done.
        failures: One row a prompt and reason, with what can be done about it.
    """

    prompts: int
    done: int
    failed: int
    refused: int
    cancelled: int
    clips_generated: int
    clips_cached: int
    paid_usd: Decimal
    seconds: float
    exit_code: ExitCode
    failures: pd.DataFrame


_COUNTS = ("prompts", "done", "failed", "refused", "cancelled", "clips_generated", "clips_cached")
_FAILURE_COLUMNS = ("kind", "prompt_id", "ended", "class", "message", "hint")
_MODEL_COLUMNS = ("model", "kind", "cached", "open", "to_generate", "worst_case_usd")
_BUDGET_COLUMNS = ("budget", "cap_usd", "headroom_usd", "needed_usd", "fits", "clips", "at_once")


def plan_report(document: Mapping[str, Any]) -> PlanReport:
    """Read the document of `plan --json`."""
    return PlanReport(
        prompts=document["prompts"],
        clips=document["clips"],
        cached=document["cached"],
        open=document["open"],
        to_generate=document["to_generate"],
        worst_case_usd=Decimal(document["worst_case_usd"]),
        fits=document["fits"],
        models=_frame(document["models"], _MODEL_COLUMNS),
        budgets=_frame(document["budgets"], _BUDGET_COLUMNS),
    )


def generation_report(document: Mapping[str, Any], exit_code: int) -> GenerationReport:
    """Read the document of `generate --json`."""
    return GenerationReport(
        **{name: document[name] for name in _COUNTS},
        paid_usd=Decimal(document["paid_usd"]),
        seconds=document["seconds"],
        exit_code=ExitCode(exit_code),
        failures=_frame(document["failures"], _FAILURE_COLUMNS),
    )


def _frame(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    """Return the named columns of the rows; money as Decimal, text as text, counts as numbers."""
    import pandas as pd  # noqa: PLC0415 -- half a second, and nobody needs it to import the project

    series = {name: _series(name, [row.get(name) for row in rows], pd.Series) for name in columns}
    return pd.DataFrame(series)


def _series(name: str, values: Sequence[Any], make: type[pd.Series]) -> pd.Series:
    if name.endswith("_usd"):
        amounts = [None if value is None else Decimal(value) for value in values]
        return make(amounts, dtype="object")
    if name == "fits":
        return make(values, dtype="boolean")
    counted = name in {"cached", "open", "to_generate", "clips", "at_once"}
    return make(values, dtype="Int64" if counted else "string")
