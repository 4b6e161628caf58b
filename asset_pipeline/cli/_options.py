"""The flags that several commands share, and how amounts of money are read from them."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Annotated, TypeAlias

import typer

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.money import MicroUsd, micro_usd

_WHICH = "Which prompts"

Kinds: TypeAlias = Annotated[
    list[Kind] | None,
    typer.Option("--kind", help="Only this kind; may be repeated.", rich_help_panel=_WHICH),
]
Collections: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--collection", help="Only this collection; may be repeated.", rich_help_panel=_WHICH
    ),
]
PromptIds: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--prompt",
        help="Only the prompt of this id, whatever its state; may be repeated.",
        rich_help_panel=_WHICH,
    ),
]
Tags: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--tag", help="Only prompts with this tag; may be repeated.", rich_help_panel=_WHICH
    ),
]
Missing: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--missing",
        help="Prompts that wait to be made, also those that a budget refused or that were "
        "stopped: what is taken without any of these four.",
        rich_help_panel=_WHICH,
    ),
]
Failed: TypeAlias = Annotated[
    bool,
    typer.Option("--failed", help="Prompts whose last run failed.", rich_help_panel=_WHICH),
]
Stale: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--stale", help="Prompts edited since their clips landed.", rich_help_panel=_WHICH
    ),
]
Everything: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--all", help="Whatever their state; stored clips cost nothing.", rich_help_panel=_WHICH
    ),
]
Limit: TypeAlias = Annotated[
    int | None,
    typer.Option("--limit", min=1, help="At most so many prompts.", rich_help_panel=_WHICH),
]
MaxUsd: TypeAlias = Annotated[
    str | None, typer.Option("--max-usd", help="Reserve at most so many US dollars in all.")
]
AsJson: TypeAlias = Annotated[
    bool, typer.Option("--json", help="One JSON document on stdout, for programs.")
]


_MICRO_DIGITS = 6

# A thousand times more would not fit the ledger's columns.
_MOST_USD = 1_000_000_000


def read_amount(flag: str, text: str) -> MicroUsd:
    """Read an amount of US dollars, with or without the sign.

    Args:
        flag: Where it was given, for the error.
        text: Such as ``2.50``.

    Raises:
        AssetPipelineError: It is none, or has parts of a micro-dollar.
    """
    try:
        amount = Decimal(text.removeprefix("$"))
        if 0 <= amount <= _MOST_USD and amount == round(amount, _MICRO_DIGITS):
            return micro_usd(amount)
    except InvalidOperation:
        pass
    raise AssetPipelineError(
        f"{flag}: {text!r} is not an amount in US dollars.", hint="Write it as 2.50."
    )
