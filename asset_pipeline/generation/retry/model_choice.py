"""Which model an attempt goes to: the prompt's own, or a fallback while that one's breaker is open.

A breaker is known here by one question alone, so that this and the breaker can change apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

IsOpen = Callable[[str], bool]
"""Tells whether a model's breaker is open: nothing may be sent to it now."""


def never_open(_: str) -> bool:
    """Answer for whoever has no breakers."""
    return False


def model_for_attempt(models: Sequence[str], is_open: IsOpen) -> str | None:
    """Return the first model that an attempt may go to; None when all are held back.

    Args:
        models: The model whose turn it is, then its fallbacks in order.
        is_open: Whether a model's breaker is open.
    """
    return next((model for model in models if not is_open(model)), None)
