"""`generate` and `demo`: the flags; what they do is in :mod:`asset_pipeline.cli.generating`."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Annotated

import typer

from asset_pipeline.cli.choosing import Choice
from asset_pipeline.cli.options import (
    AsJson,
    Collections,
    Everything,
    Failed,
    Kinds,
    Limit,
    Missing,
    PromptIds,
    Stale,
    Tags,
)
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.money import MicroUsd, micro_usd

_MICRO_DIGITS = 6


def generate(
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
    max_usd: Annotated[
        str | None, typer.Option("--max-usd", help="Reserve at most so many US dollars in all.")
    ] = None,
    max_in_flight: Annotated[
        int | None, typer.Option("--max-in-flight", min=1, max=1000, help="Clips at a time.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Pay again for clips that are stored already.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Generate the clips of the chosen prompts, those that are missing if none are named.

    Stored clips are reused and open predictions continued; neither is paid again. The events are
    in Dagster, where `make dev` shows them. Then the warehouse and the gallery are published.
    """
    # Dagster and everything else that makes clips: `--help` does not wait for them.
    from asset_pipeline.cli.generating import Orders, carry_out  # noqa: PLC0415

    choice = Choice(
        kinds=kind,
        collections=collection,
        prompt_ids=prompt,
        tags=tag,
        missing=missing,
        failed=failed,
        stale=stale,
        everything=everything or (force and not (missing or failed or stale)),
        limit=limit,
    )
    orders = Orders(
        choice,
        max_usd=None if max_usd is None else _money(max_usd),
        max_in_flight=max_in_flight,
        force=force,
        ask=not yes,
        as_json=as_json,
    )
    raise typer.Exit(carry_out(orders))


def demo() -> None:
    """Make everything in the prompts folder on the embedded sandbox, where nothing costs money."""
    from asset_pipeline.cli.demonstrating import demonstrate  # noqa: PLC0415 -- as above

    raise typer.Exit(demonstrate())


def _money(text: str) -> MicroUsd:
    """Read an amount of US dollars.

    Raises:
        AssetPipelineError: It is none, or has parts of a micro-dollar.
    """
    try:
        amount = Decimal(text.removeprefix("$"))
        if amount.is_finite() and amount >= 0 and amount == round(amount, _MICRO_DIGITS):
            return micro_usd(amount)
    except InvalidOperation:
        pass
    raise AssetPipelineError(
        f"--max-usd: {text!r} is not an amount in US dollars.", hint="Write it as 2.50."
    )
