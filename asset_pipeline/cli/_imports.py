"""Imports of what stays until the command ends."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Generator


@contextlib.contextmanager
def without_gc() -> Generator[None]:
    """Don't look for garbage while the block imports, nor later among what it imported.

    Half a million objects come with Dagster, and none of them is garbage: searching them again and
    again while they come in is a tenth of the imports' time.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
