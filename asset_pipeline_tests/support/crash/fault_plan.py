"""The fault plan that runs beside random kills: each prompt may be struck once by each rule."""

from __future__ import annotations

_NAMES = (
    "lost_reply_before",
    "lost_reply_after",
    "error_5xx_before",
    "error_5xx_after",
    "failed",
    "rate_limited",
)

MIXED: tuple[dict[str, object], ...] = tuple(
    {
        "fault": name,
        "match": {"probability": 0.1, "seed": number},
        "per_prompt": 1,
        "params": {"retry_after": 1},
    }
    for number, name in enumerate(_NAMES)
)
