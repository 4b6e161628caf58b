"""Charges that need a look: what the provider's numbers or the reservation do not explain."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from asset_pipeline.cli._output import say
from asset_pipeline.ledger.records import Intent
from asset_pipeline.money import format_usd, to_decimal

_SHOWN = 10


def show_charges(console: Console, noted: Sequence[Intent]) -> None:
    """Say which charges are not what was to be expected, the newest first; nothing without any."""
    if not noted:
        return
    say(console, f"Charges that need a look: {len(noted):,}.", "bold red")
    for intent in reversed(noted[-_SHOWN:]):
        say(
            console,
            f"  {intent.kind}/{intent.prompt_id}, intent {intent.intent_id[:12]}, charged "
            f"{format_usd(intent.charged_microusd)}: {intent.charge_note}",
            "yellow",
        )
    if len(noted) > _SHOWN:
        say(console, f"  ... and {len(noted) - _SHOWN:,} more: `asset-pipeline audit --json`.")
    say(
        console,
        "Compare them with the provider's bill; "
        "`asset-pipeline ledger correct ID --usd X --because TEXT` sets one right.",
    )


def charge_fields(noted: Sequence[Intent]) -> list[dict[str, object]]:
    """Return the same for machines."""
    return [
        {
            "intent_id": intent.intent_id,
            "kind": intent.kind,
            "prompt_id": intent.prompt_id,
            "prediction_id": intent.prediction_id,
            "charged_usd": to_decimal(intent.charged_microusd),
            "note": intent.charge_note,
        }
        for intent in noted
    ]
