"""Timing the requests to a store: each try by itself, and what came of it."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from asset_pipeline.measures import MEASURES, STORE
from asset_pipeline.stores.protocol import ObjectNotFoundError, StoreError, StoreUnavailableError

P = ParamSpec("P")
T = TypeVar("T")


def timed(request: Callable[P, T]) -> Callable[P, T]:
    """Let a store's method be timed under its own name."""

    @functools.wraps(request)
    def timing(*arguments: P.args, **named: P.kwargs) -> T:
        began, outcome = time.monotonic(), "ok"
        try:
            return request(*arguments, **named)
        except ObjectNotFoundError:
            raise  # an answer like any other
        except StoreUnavailableError:
            outcome = "unavailable"
            raise
        except StoreError:
            outcome = "refused"
            raise
        finally:
            MEASURES.time(STORE, request.__name__, time.monotonic() - began, outcome)

    return timing
