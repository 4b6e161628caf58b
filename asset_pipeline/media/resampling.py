"""Sound at another sample rate, block by block, as if it had been resampled in one piece.

SciPy is imported at the top: import this module only where sound is at hand.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any, cast

import numpy as np
from scipy import signal

from asset_pipeline.media.sounds import Samples

# How far SciPy's default filter reaches to either side, in periods of the slower of both rates.
_REACH = 10


def resampled(blocks: Iterable[Samples], up: int, down: int) -> Iterator[Samples]:
    """Yield sound at ``up / down`` times its rate.

    Each block is resampled together with what comes before and after it as far as the filter
    reaches, and cut where both rates have a sample at the same instant; so the seams cannot be
    heard, and do not show in a peak.

    Args:
        blocks: Shape (frames, channels) each, not empty.
        up: Numerator of the ratio.
        down: Denominator of the ratio.
    """
    divisor = math.gcd(up, down)
    up, down = up // divisor, down // divisor
    if up == down:
        yield from blocks
        return
    margin = down * math.ceil((_REACH * max(up, down) / up + 1) / down)
    read, written = 0, 0
    waiting: Samples | None = None
    for block in blocks:
        if waiting is None:
            waiting = _silence(margin, block)
        waiting = np.concatenate([waiting, block])
        read += len(block)
        ready = (len(waiting) - 2 * margin) // down * down
        if ready > 0:
            made = _middle(waiting[: ready + 2 * margin], up, down, margin)
            waiting = waiting[ready:]
            written += len(made)
            yield made
    if waiting is not None:
        rest = np.concatenate([waiting, _silence(margin + down, waiting)])
        whole = math.ceil(read * up / down)
        yield _middle(rest, up, down, margin)[: whole - written]


def _middle(block: Samples, up: int, down: int, margin: int) -> Samples:
    made = cast("Samples", cast("Any", signal.resample_poly)(block, up, down, axis=0))
    return made[margin * up // down : (len(block) - margin) * up // down]


def _silence(frames: int, like: Samples) -> Samples:
    return np.zeros((frames, like.shape[1]), dtype=np.float32)
