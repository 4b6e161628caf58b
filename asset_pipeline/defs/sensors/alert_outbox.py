"""Sending alerts in the background, with a few retries."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from queue import Full, Queue

from pydantic import JsonValue, SecretStr

_log = logging.getLogger(__name__)

_TRY_SECONDS = 5.0
# Before the second, third and fourth try: a chat service that restarts is back by then.
_WAITS = (1.0, 5.0, 20.0)
_LONGEST_WAIT = 60.0
# More alerts than this say nothing new and would only use memory.
_WAITING = 100

_TOO_MANY, _SERVER_ERROR = 429, 500


@dataclass(frozen=True, slots=True)
class _Letter:
    url: SecretStr
    payload: Mapping[str, JsonValue]
    run_id: str


class AlertOutbox:
    """Posts alerts from a thread of its own, which starts with the first of them.

    Args:
        sleep: Waits so many seconds between two tries.
        try_seconds: How long one try may take.
    """

    def __init__(
        self, sleep: Callable[[float], None] = time.sleep, *, try_seconds: float = _TRY_SECONDS
    ) -> None:
        self._sleep = sleep
        self._try_seconds = try_seconds
        self._letters: Queue[_Letter] = Queue(_WAITING)
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def put(self, url: SecretStr, payload: Mapping[str, JsonValue], run_id: str) -> bool:
        """Take an alert to be sent, at once; False when too many are waiting."""
        try:
            self._letters.put_nowait(_Letter(url, payload, run_id))
        except Full:
            return False
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="alerts", daemon=True)
                self._thread.start()
        return True

    def join(self) -> None:
        """Wait until all alerts are sent or given up."""
        self._letters.join()

    def _work(self) -> None:
        while True:
            letter = self._letters.get()
            try:
                self._deliver(letter)
            except Exception as error:  # noqa: BLE001 -- the next alert must still find a thread
                # Its text may hold the address, which is a secret.
                self._give_up(letter, type(error).__name__)
            finally:
                self._letters.task_done()

    def _deliver(self, letter: _Letter) -> None:
        said = ""
        for wait in (*_WAITS, None):
            said, asked = self._post(letter)
            if not said:
                _log.info("alert sent", extra={"run_id": letter.run_id})
                return
            if asked is None or wait is None:
                break
            self._sleep(min(max(asked, wait), _LONGEST_WAIT))
        self._give_up(letter, said)

    def _post(self, letter: _Letter) -> tuple[str, float | None]:
        """Send once; return what went wrong, and the wait asked for if another try makes sense."""
        import httpx  # noqa: PLC0415 -- definitions load without it

        try:
            with httpx.stream(
                "POST",
                letter.url.get_secret_value(),
                json=dict(letter.payload),
                timeout=self._try_seconds,
            ) as reply:  # its body says nothing that is needed, and may never end
                status, asked = reply.status_code, reply.headers.get("retry-after", "")
        except httpx.HTTPError as error:
            return type(error).__name__, 0.0
        if httpx.codes.is_success(status):
            return "", None
        passing = status == _TOO_MANY or status >= _SERVER_ERROR
        return f"HTTP {status}", float(asked if asked.isdigit() else 0) if passing else None

    def _give_up(self, letter: _Letter, said: str) -> None:
        _log.error(
            "The alert about run %s could not be sent: %s. "
            "Check ASSET_PIPELINE_ALERT_WEBHOOK_URL and whoever listens there.",
            letter.run_id,
            said,
            extra={"run_id": letter.run_id},
        )
