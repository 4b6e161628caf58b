"""Work that a stop must not tear off in the middle."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

# A stop waits so long for the answer to a create that is on the wire; after that the intent is
# left for reconciliation. The whole stop is promised within ten seconds.
_LAST_REPLY_SECONDS = 7.0


async def shield_until_done(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end even when cancelled meanwhile: a reply that is on its way is worth money."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task], timeout=_LAST_REPLY_SECONDS)
        raise
