"""Which budgets a payment falls under, and their caps: ``budgets.yaml`` and the environment.

The file is read again when it changed and stands still, so an edited cap holds from the next
reservation on after that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from asset_pipeline.config.guarded_file import GuardedFile, Memory
from asset_pipeline.config.yaml_source import read_configuration
from asset_pipeline.errors import ConfigurationError
from asset_pipeline.ledger import budget_scopes
from asset_pipeline.money import MicroUsd, micro_usd
from asset_pipeline.settings import Settings

BUDGETS_FILE = "budgets.yaml"

# In dollars; a thousand times more would not fit the ledger's columns.
_MOST_USD = 1_000_000_000

Cap = Annotated[Decimal, Field(ge=0, le=_MOST_USD)]


class BudgetCaps(BaseModel):
    """The caps in US dollars; the defaults are small enough to be a harmless first surprise."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    total_usd: Cap = Field(Decimal(100), description="Everything ever spent.")
    daily_usd: Cap | None = Field(Decimal(25), description="One UTC day.")
    monthly_usd: Cap | None = Field(None, description="One UTC calendar month.")
    run_usd: Cap | None = Field(None, description="One Dagster run.")
    llm_usd: Cap | None = Field(Decimal(5), description="Everything ever spent on language models.")
    collections_usd: dict[str, Cap] = Field(
        default_factory=dict, description="Everything ever spent on one collection."
    )
    warn_at_percent: tuple[int, ...] = Field(
        (50, 80), description="Shares of a cap at which a run says how much is left."
    )


@dataclass(frozen=True, slots=True)
class BudgetLine:
    """One budget that a payment falls under."""

    budget: str
    period: str
    period_start: date | None
    cap: MicroUsd


@dataclass(frozen=True, slots=True)
class KeyCap:
    """What the payments on behalf of one API key may come to, ever."""

    key_id: str
    cap: MicroUsd


def budget_lines(
    caps: BudgetCaps,
    *,
    collection: str,
    run_id: str,
    now: datetime,
    run_cap: MicroUsd | None = None,
    key_cap: KeyCap | None = None,
    is_text: bool = False,
) -> tuple[BudgetLine, ...]:
    """Return the budgets of one payment: the total, then the others sorted by name.

    The order is fixed so that two Postgres transactions never lock them crosswise.

    Args:
        caps: The configured caps.
        collection: The prompt's collection.
        run_id: The run that pays, or the one whose launch it belongs to.
        now: The time of the reservation; days and months are UTC.
        run_cap: A tighter cap for this run alone (``max_usd`` in its config).
        key_cap: The cap of the API key on whose behalf it is paid.
        is_text: Whether it pays a language model.
    """
    today = now.date()
    month = today.replace(day=1)
    run_caps = [cap for cap in (_micro(caps.run_usd), run_cap) if cap is not None]
    total = BudgetLine(budget_scopes.TOTAL, "all", None, micro_usd(caps.total_usd))
    lines: list[BudgetLine] = []
    if collection in caps.collections_usd:
        cap = micro_usd(caps.collections_usd[collection])
        lines.append(BudgetLine(budget_scopes.of_collection(collection), "all", None, cap))
    if caps.daily_usd is not None:
        lines.append(
            BudgetLine(budget_scopes.daily(today), "day", today, micro_usd(caps.daily_usd))
        )
    if key_cap is not None:
        lines.append(BudgetLine(budget_scopes.of_key(key_cap.key_id), "key", None, key_cap.cap))
    if is_text and caps.llm_usd is not None:
        lines.append(BudgetLine(budget_scopes.LLM, "all", None, micro_usd(caps.llm_usd)))
    if caps.monthly_usd is not None:
        cap = micro_usd(caps.monthly_usd)
        lines.append(BudgetLine(budget_scopes.monthly(today), "month", month, cap))
    if run_caps:
        lines.append(BudgetLine(budget_scopes.of_run(run_id), "run", None, min(run_caps)))
    return (total, *lines)


class CapsSource:
    """Reads the caps, and reads them again when the file moved.

    Args:
        settings: The folder, and the variables that go over the file.
        memory: Knows whether a missing file was in force before.
        own: Caps by field name that go over file and variables.
    """

    def __init__(
        self,
        settings: Settings,
        memory: Memory | None = None,
        own: Mapping[str, Decimal] | None = None,
    ) -> None:
        self._path = settings.config_dir / BUDGETS_FILE
        self._file = GuardedFile(self._path, memory)
        environment = {
            "total_usd": settings.budget_total_usd,
            "daily_usd": settings.budget_daily_usd,
            "run_usd": settings.budget_run_usd,
        }
        self._overrides = {name: cap for name, cap in environment.items() if cap is not None}
        self._overrides.update(own or {})
        self._caps: BudgetCaps | None = None

    def current(self) -> BudgetCaps:
        """Return the caps in force now.

        Raises:
            ConfigurationError: ``budgets.yaml`` is wrong, or was in force and is gone or empty;
                nothing is paid until it is mended.
        """
        if self._file.has_news() or self._caps is None:
            self._caps = _validated(self._path, {**_read(self._path), **self._overrides})
            self._file.taken()
        return self._caps


def _micro(amount: Decimal | None) -> MicroUsd | None:
    return None if amount is None else micro_usd(amount)


def _read(path: Path) -> dict[str, object]:
    if not path.exists():
        return {}
    # Scalars stay text, so that 0.1 becomes a Decimal and is never a float.
    content = read_configuration(path, meaning=str)
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigurationError(f"{path}: expected a mapping such as 'daily_usd: 25'.")
    return cast("dict[str, object]", content)


def _validated(path: Path, content: dict[str, object]) -> BudgetCaps:
    # An empty or "none" value lifts an optional cap.
    cleaned = {
        name: None
        if isinstance(value, str) and value.lower() in {"", "none", "null", "~"}
        else value
        for name, value in content.items()
    }
    try:
        return BudgetCaps.model_validate(cleaned)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(
            f"{path}: {field}: {first['msg']}.",
            hint=f"Known fields: {', '.join(BudgetCaps.model_fields)}.",
        ) from None
