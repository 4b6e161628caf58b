"""Two thousand generated replies: each is an answer or an error of ours, soon, and can be stored.

`ASSET_PIPELINE_MANY_REPLIES=1` asks for twenty thousand.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asset_pipeline.foreign.text import is_id
from asset_pipeline.providers.listing import gathered
from asset_pipeline.providers.prediction import Prediction
from asset_pipeline.providers.protocol import ProviderError
from asset_pipeline_tests.support.provider_samples import SCHNELL, prediction, provider
from asset_pipeline_tests.support.scripted_server import Answer, reply, serving

SINCE = datetime(2026, 11, 21, 11, 0, tzinfo=UTC)
IN_ONE_TALK = 20
TALKS = 1000 if os.environ.get("ASSET_PIPELINE_MANY_REPLIES") else 100

ODD_TEXT = st.sampled_from(
    [
        "",
        "\x00",
        "\ud800",
        "\x1b[2J",
        "\u202e",
        "../..",
        "http://[",
        "javascript:alert(1)",
        "data:image/png;base64,AAAA",
        "9999-12-31T23:59:59Z",
        "0001-01-01T00:00:00+23:59",
        "x" * 5000,
        "succeeded",
        "/v1/predictions?cursor=1",
    ]
) | st.text(alphabet=st.characters(exclude_categories=()), max_size=30)
ODD_NUMBER = st.sampled_from([float("nan"), float("inf"), -1, -1e300, 1e300, 10**400, 2**64, 0]) | (
    st.integers() | st.floats()
)
ODD = st.recursive(
    st.none() | st.booleans() | ODD_NUMBER | ODD_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ODD_TEXT, inner, max_size=4),
    max_leaves=10,
)
ROW = st.dictionaries(st.sampled_from(sorted(prediction())), ODD, max_size=4).map(
    lambda changes: prediction(**changes)
)
PAGE = st.fixed_dictionaries(
    {"results": st.lists(ROW | ODD, max_size=4), "next": st.none() | ODD_TEXT | ODD}
)
HEADERS = st.dictionaries(
    st.sampled_from(
        ["retry-after", "ratelimit-remaining", "ratelimit-reset", "date", "content-encoding"]
    ),
    st.sampled_from(["", "1e400", "nan", "-1", "9" * 400, "gzip", "gzip, gzip", "br", "tomorrow"])
    | st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=20),
    max_size=2,
)
BODY = (ROW | PAGE | ODD).map(lambda document: json.dumps(document).encode()) | st.binary(
    max_size=40
)
REPLY = st.tuples(
    st.sampled_from([200, 200, 200, 201, 302, 400, 404, 422, 429, 500]), BODY, HEADERS
)


def check(row: Prediction) -> None:
    """Everything that a reply said can be stored by any database and shown on any screen."""
    assert is_id(row.prediction_id)
    shown = (row.model, row.version, row.raw_status, row.error, row.web_url, row.webhook)
    for text in (*shown, json.dumps(row.inputs, ensure_ascii=False), *row.metrics):
        assert "\x00" not in (text or "")
        assert "\x1b" not in (text or "")
        (text or "").encode()
    json.dumps(row.output, ensure_ascii=False).encode()
    assert len(row.error or "") <= 4000
    assert all(0 <= value <= 1e12 for value in row.metrics.values())


def check_words(message: str) -> None:
    """An error's words can be stored, and are few."""
    assert "\x00" not in message
    message.encode()
    assert len(message) < 2500


async def talk(replies: list[tuple[int, bytes, Mapping[str, str]]]) -> int:
    """Ask all three questions of a server with odd answers; return how many it was asked."""
    script: list[Answer] = [
        reply(status, body, headers=dict(headers)) for status, body, headers in replies
    ]
    async with serving(*script) as server:
        replicate = provider(server.url)
        try:
            for number in range(IN_ONE_TALK):
                try:
                    match number % 3:
                        case 0:
                            check(await replicate.create(SCHNELL))
                        case 1:
                            check(await replicate.get("p1"))
                        case _:
                            for row in (await gathered(replicate, SINCE))[0]:
                                check(row)
                except ProviderError as error:
                    check_words(error.message)
        finally:
            await replicate.aclose()
        return len(server.received)


@settings(max_examples=TALKS, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(REPLY, min_size=IN_ONE_TALK, max_size=IN_ONE_TALK))
def test_any_reply_is_an_answer_or_an_error_of_ours(
    replies: list[tuple[int, bytes, Mapping[str, str]]],
) -> None:
    """No traceback, no wait of seconds, no text that a database refuses."""
    began = time.monotonic()
    assert asyncio.run(talk(replies)) >= IN_ONE_TALK - 1
    assert time.monotonic() - began < 10
