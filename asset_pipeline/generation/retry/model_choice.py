"""Choosing the model of an attempt: a fallback while the prompt's model has an open breaker.

It knows a breaker only by ``is_open``, so that both can change independently.
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
