"""Posting webhooks when their moment has come; what was not posted survives a restart."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from typing import TYPE_CHECKING

from asset_pipeline.sandbox.display import Display
from asset_pipeline.sandbox.faults.names import Route
from asset_pipeline.sandbox.lifecycle import Prediction, find
from asset_pipeline.sandbox.state import MICROSECONDS, State
from asset_pipeline.sandbox.webhooks import Webhook, signed_headers

if TYPE_CHECKING:
    import httpx

# The clock can be set ahead and predictions canceled by any process on the same state.
_LOOK_SECONDS = 0.1
_POST_SECONDS = 5.0
# As on Replicate, only the last event is tried again.
_TRIES = 5
_FIRST_WAIT = 0.5

# What has happened by now, of each prediction the earliest alone: they are posted in order.
_DUE = """
SELECT w.* FROM webhooks AS w JOIN predictions AS p ON p.id = w.prediction_id
WHERE w.settled = 0 AND w.next_us <= :now
  AND (p.ends_us <= :now OR (w.event IN ('start', 'logs') AND p.starts_us <= :now))
  AND NOT EXISTS (
    SELECT 1 FROM webhooks AS e
    WHERE e.settled = 0 AND e.prediction_id = w.prediction_id AND e.number < w.number
  )
"""


class WebhookSender:
    """The webhooks of one state.

    Args:
        state: Where they are written down.
        display: Shows the prediction in a post as an answer to a question would.
    """

    def __init__(self, state: State, display: Display) -> None:
        self._state = state
        self._display = display
        self._news = asyncio.Event()
        self._posting: asyncio.Task[None] | None = None

    def take(self, prediction: Prediction, webhook: Webhook, origin: str) -> None:
        """Write down what is to be posted.

        Args:
            prediction: What about.
            webhook: Where to, and on which occasions.
            origin: The server's own address, for the links in the body.
        """
        self._state.connection.executemany(
            "INSERT INTO webhooks (prediction_id, event, url, origin) VALUES (?, ?, ?, ?)",
            [(prediction.id, event, webhook.url, origin) for event in webhook.events],
        )
        self._news.set()

    def start(self) -> None:
        """Begin to post, with what an earlier server did not get to."""
        self._news.set()
        self._posting = asyncio.create_task(self._work())

    async def close(self) -> None:
        """Stop posting."""
        if self._posting is not None:
            self._posting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._posting

    async def _work(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            if not self._left():
                continue
            # No proxy from the environment, and no redirect: both would leave this machine.
            import httpx  # noqa: PLC0415 -- a server that posts nothing does without

            async with httpx.AsyncClient(trust_env=False, timeout=_POST_SECONDS) as client:
                while self._left():
                    await asyncio.gather(*(self._post(client, row) for row in self._due()))
                    await asyncio.sleep(_LOOK_SECONDS)

    def _left(self) -> bool:
        query = "SELECT 1 FROM webhooks WHERE settled = 0 LIMIT 1"
        return self._state.connection.execute(query).fetchone() is not None

    def _due(self) -> list[sqlite3.Row]:
        return self._state.connection.execute(_DUE, {"now": self._state.now_us()}).fetchall()

    async def _post(self, client: httpx.AsyncClient, row: sqlite3.Row) -> None:
        prediction = find(self._state, row["prediction_id"])
        if prediction is None or not _happens(prediction, row["event"]):
            self._settle(row)
        elif self._claim(row):
            document = await self._display.single(prediction, Route.GET, row["origin"])
            body = json.dumps(document).encode()
            message_id = f"msg_{prediction.id}_{row['event']}"
            secret = self._state.webhook_secret()
            moment = self._state.shown_us() // MICROSECONDS
            headers = signed_headers(secret, message_id, moment, body)
            if await _was_taken(client, row["url"], headers, body):
                self._settle(row)

    def _claim(self, row: sqlite3.Row) -> bool:
        """Take a try for this process; one that was the last settles the matter at once."""
        tries = row["tries"] + 1
        last = row["event"] != "completed" or tries >= _TRIES
        wait = round(_FIRST_WAIT * 2 ** row["tries"] * MICROSECONDS)
        changed = self._state.connection.execute(
            "UPDATE webhooks SET tries = ?, next_us = ?, settled = ?"
            " WHERE number = ? AND tries = ? AND settled = 0",
            (tries, self._state.now_us() + wait, last, row["number"], row["tries"]),
        )
        return changed.rowcount == 1

    def _settle(self, row: sqlite3.Row) -> None:
        self._state.connection.execute(
            "UPDATE webhooks SET settled = 1 WHERE number = ?", (row["number"],)
        )


def _happens(prediction: Prediction, event: str) -> bool:
    if event == "completed":
        return True
    if event == "output":
        return prediction.outcome == "succeeded"
    return prediction.starts_us is not None


async def _was_taken(
    client: httpx.AsyncClient, url: str, headers: dict[str, str], body: bytes
) -> bool:
    import httpx  # noqa: PLC0415 -- loaded already

    try:
        reply = await client.post(url, headers=headers, content=body)
    except (httpx.HTTPError, httpx.InvalidURL):
        return False
    return reply.is_success
