"""Retrying unanswered store requests for a few seconds, with exponential backoff.

Every request may be repeated: a put creates and never overwrites, so one whose reply was lost meets
its own object, and is recognised by its content. Who can wait longer than some seconds, as the
delivery of a paid clip can, does so itself: this wait holds a thread.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from asset_pipeline.stores.content import write_whole
from asset_pipeline.stores.protocol import (
    LONGEST_LINK,
    LinkMethod,
    Store,
    StoredObject,
    StoreUnavailableError,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Backoff:
    """How a store is tried again; times in seconds.

    Attributes:
        tries: At most so many in all.
        first: The longest first wait; each one after may be twice as long.
        longest: No wait is longer.
        total: No try begins later than this after the first: a stop waits for it.
        sleep: Waits.
        jitter: From 0 to 1: the share of the longest wait that is taken.
        monotonic: For measuring.
    """

    tries: int = 5
    first: float = 0.25
    longest: float = 2.0
    total: float = 5.0
    sleep: Callable[[float], None] = field(default=time.sleep)
    jitter: Callable[[], float] = field(default=random.random)
    monotonic: Callable[[], float] = field(default=time.monotonic)

    def run(self, work: Callable[[], T]) -> T:
        """Return what ``work`` returns, trying again while the store is unavailable.

        Raises:
            StoreUnavailableError: The last try's.
        """
        began, wait = self.monotonic(), self.first
        for left in range(self.tries - 1, -1, -1):
            try:
                return work()
            except StoreUnavailableError:
                # Half of the wait is certain: a jitter near nothing would hammer a sick server.
                pause = wait * (0.5 + 0.5 * self.jitter())
                if not left or self.monotonic() - began + pause > self.total:
                    raise
                self.sleep(pause)
                wait = min(wait * 2, self.longest)
        raise AssertionError  # pragma: no cover -- the last try returns or raises


class RetryingStore:
    """A store whose every request is tried again when the store is unavailable.

    Args:
        store: The one that is asked.
        backoff: How often and how long.
    """

    def __init__(self, store: Store, backoff: Backoff | None = None) -> None:
        self._store = store
        self._backoff = backoff or Backoff()

    def put(self, key: str, source: Path, *, sha256: str, content_type: str) -> StoredObject:
        """Store a file under a key; see :meth:`Store.put`."""
        return self._backoff.run(
            lambda: self._store.put(key, source, sha256=sha256, content_type=content_type)
        )

    def get(self, key: str, target: Path) -> None:
        """Copy an object to a file; see :meth:`Store.get`."""
        write_whole(self.read(key), target)

    def read(self, key: str) -> Iterator[bytes]:
        """Yield an object's content, going on where a broken stream ended.

        An object never changes under its key, so that two streams of it are one.
        """
        passed = 0
        blocks: Iterator[bytes] = iter(())

        def following() -> bytes:
            nonlocal blocks
            try:
                return next(blocks, b"")
            except StoreUnavailableError:
                blocks = _skipping(self._store.read(key), passed)
                raise

        blocks = self._store.read(key)
        while block := self._backoff.run(following):
            passed += len(block)
            yield block

    def head(self, key: str) -> StoredObject | None:
        """Describe an object; see :meth:`Store.head`."""
        return self._backoff.run(lambda: self._store.head(key))

    def exists(self, key: str) -> bool:
        """Tell whether there is an object under the key."""
        return self._backoff.run(lambda: self._store.exists(key))

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """Yield the objects under a prefix, going on where a broken listing ended."""
        last = ""
        found: Iterator[StoredObject] = iter(())

        def following() -> StoredObject | None:
            nonlocal found
            try:
                return next((each for each in found if each.key > last), None)
            except StoreUnavailableError:
                found = self._store.list(prefix)
                raise

        found = self._store.list(prefix)
        while each := self._backoff.run(following):
            last = each.key
            yield each

    def delete(self, key: str) -> None:
        """Remove an object; see :meth:`Store.delete`."""
        self._backoff.run(lambda: self._store.delete(key))

    def uri(self, key: str) -> str:
        """Return the absolute address of a key."""
        return self._store.uri(key)

    def signed_url(
        self,
        key: str,
        *,
        ttl: timedelta = LONGEST_LINK,
        method: LinkMethod = "GET",
        content_type: str | None = None,
    ) -> str:
        """Return a link; see :meth:`Store.signed_url`."""
        return self._backoff.run(
            lambda: self._store.signed_url(key, ttl=ttl, method=method, content_type=content_type)
        )

    def sweep(self, before: datetime) -> int:
        """Remove what killed writers left; see :meth:`Store.sweep`."""
        return self._backoff.run(lambda: self._store.sweep(before))


def _skipping(blocks: Iterator[bytes], passed: int) -> Iterator[bytes]:
    for block in blocks:
        if passed < len(block):
            yield block[passed:]
        passed = max(0, passed - len(block))
