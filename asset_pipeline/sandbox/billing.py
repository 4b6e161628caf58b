"""What the sandbox charges, by its own arithmetic on its own price list.

Nothing here is shared with the catalog's pricing: two accounts that were computed apart and agree
to the micro-dollar say something. Only models that a user has added are billed by the catalog's
rule, since nobody else knows their price.

Every charge is the exact product, a fraction of a micro-dollar counted as a whole one.

| outcome | official model | community model |
|---|---|---|
| succeeded | by unit, or by predict_time | the same |
| failed, aborted | free | free |
| canceled before it ran | free | free |
| canceled while it ran | the whole unit, or predict_time | the same |
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from typing import Literal

from asset_pipeline.catalog.spec import Model

Unit = Literal["image", "predict_second", "thousand_characters", "run"]

# US dollars a unit. replicate-api, "Who pays": pricing page 2026-10 unless said otherwise.
PRICES: dict[str, tuple[Unit, Fraction]] = {
    "black-forest-labs/flux-schnell": ("image", Fraction("0.003")),
    "black-forest-labs/flux-dev": ("image", Fraction("0.025")),
    "black-forest-labs/flux-1.1-pro": ("image", Fraction("0.04")),
    "ideogram-ai/ideogram-v3-quality": ("image", Fraction("0.09")),
    "minimax/speech-02-turbo": ("thousand_characters", Fraction("0.06")),
    "stability-ai/stable-audio-2.5": ("run", Fraction("0.20")),
    # Third-party listing of Replicate's model pages, 2025-11.
    "black-forest-labs/flux-1.1-pro-ultra": ("image", Fraction("0.06")),
    "black-forest-labs/flux-kontext-pro": ("image", Fraction("0.04")),
    "black-forest-labs/flux-kontext-max": ("image", Fraction("0.08")),
    "ideogram-ai/ideogram-v3-turbo": ("image", Fraction("0.03")),
    "ideogram-ai/ideogram-v3-balanced": ("image", Fraction("0.06")),
    "google/imagen-4": ("image", Fraction("0.04")),
    "google/imagen-4-fast": ("image", Fraction("0.02")),
    "google/imagen-4-ultra": ("image", Fraction("0.06")),
    "recraft-ai/recraft-v3": ("image", Fraction("0.04")),
    "minimax/speech-2.6-turbo": ("thousand_characters", Fraction("0.06")),  # model page, 2026-11
    "jaaari/kokoro-82m": ("thousand_characters", Fraction("0.00065")),  # model card, 2025-04
}

# US dollars a second. Community models without a listed price run on an L40S.
HARDWARE: dict[str, tuple[str, Fraction]] = {
    "cpu": ("CPU", Fraction("0.0001")),
    "gpu-t4": ("Nvidia T4 GPU", Fraction("0.000225")),
    "gpu-l40s": ("Nvidia L40S GPU", Fraction("0.000975")),
    "gpu-a100-large": ("Nvidia A100 (80GB) GPU", Fraction("0.0014")),
    "gpu-h100": ("Nvidia H100 GPU", Fraction("0.001525")),
}


@dataclass(frozen=True, slots=True)
class Usage:
    """What a finished prediction used, as its own metrics report it.

    Args:
        outcome: The terminal status.
        ran: Whether it had started.
        predict_us: Microseconds from start to end.
        images: Pictures delivered (or, canceled, asked for).
        characters: Characters of text sent to a speech model.
    """

    outcome: str
    ran: bool
    predict_us: int
    images: int
    characters: int


def charge(model: Model | None, name: str, usage: Usage, *, created_us: int) -> int:
    """Return what a finished prediction costs, in micro-dollars.

    Args:
        model: The catalog's entry; None when it has been removed since.
        name: ``owner/name``.
        usage: What was used.
        created_us: Microseconds since 1970; decides which of the catalog's prices applies.
    """
    if usage.outcome not in ("succeeded", "canceled") or not usage.ran:
        return 0
    unit, price = PRICES.get(name) or _fallback(model, created_us)
    match unit:
        case "image":
            amount = price * usage.images
        case "predict_second":
            amount = price * usage.predict_us / 1_000_000
        case "thousand_characters":
            amount = price * usage.characters / 1000
        case "run":
            amount = price
    return math.ceil(amount * 1_000_000)


def _fallback(model: Model | None, created_us: int) -> tuple[Unit, Fraction]:
    day = datetime.fromtimestamp(created_us / 1_000_000, UTC).date()
    rule = model.price_on(day) if model is not None else None
    if rule is not None:
        return rule.unit.value, Fraction(rule.usd)
    return "predict_second", HARDWARE["gpu-l40s"][1]
