"""Generated replies to every question: each is an answer or an error of ours, soon, and storable.

A benchmark, ``hostile_replies``, asks for two thousand of them and for whole paid calls.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from asset_pipeline_tests.support.hostile_talks import LONGEST_SECONDS, MOST_MEGABYTES, talk

pytestmark = pytest.mark.searches


def test_any_reply_is_an_answer_or_an_error_of_ours_soon_and_in_little_memory() -> None:
    """No traceback, no wait without an end, no text that a database refuses.

    In a process of its own, whose memory is measured; the server's is a part of it.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        figures = process.submit(talk, 300, 20261128, 2).result()
    assert figures.flaws == []
    assert figures.replies > 240
    assert figures.longest < LONGEST_SECONDS
    assert figures.megabytes < MOST_MEGABYTES
