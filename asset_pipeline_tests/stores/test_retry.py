from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from asset_pipeline.stores.local import LocalStore
from asset_pipeline.stores.protocol import Store, StoredObject, StoreError, StoreUnavailableError
from asset_pipeline.stores.retry import Backoff, RetryingStore
from asset_pipeline_tests.support.store_contract import StoreContract, sha256_of


class TestRetryingStore(StoreContract):
    """A store that is retried keeps the contract of the store behind it."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        """A folder that never fails, tried again in vain."""
        return RetryingStore(LocalStore(tmp_path / "clips"))


class _Flaky:
    """A folder that is away for the first requests, and breaks off streams after a block."""

    def __init__(self, root: Path, failures: int) -> None:
        self._store = LocalStore(root)
        self.failures = failures

    def _fail(self) -> None:
        if self.failures:
            self.failures -= 1
            raise StoreUnavailableError("away")

    def read(self, key: str) -> Iterator[bytes]:
        for block in self._store.read(key):
            yield block
            self._fail()

    def list(self, prefix: str) -> Iterator[StoredObject]:
        for each in self._store.list(prefix):
            yield each
            self._fail()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 -- stands for any method
            self._fail()
            return getattr(self._store, name)(*arguments, **named)

        return call


class _Waits(list[float]):
    """Sleeps that are noted, and the time that they would have taken."""

    def backoff(self, **changed: Any) -> Backoff:  # noqa: ANN401 -- fields of Backoff
        return Backoff(
            sleep=self.append, monotonic=lambda: sum(self), **{"jitter": lambda: 1.0, **changed}
        )


@pytest.fixture
def waits() -> _Waits:
    return _Waits()


def _flaky(tmp_path: Path, waits: _Waits, failures: int, **changed: Any) -> RetryingStore:  # noqa: ANN401 -- fields of Backoff
    store: Any = _Flaky(tmp_path / "clips", failures)
    return RetryingStore(store, waits.backoff(**changed))


def _put(store: Store, folder: Path, key: str, content: bytes) -> None:
    (folder / "source").write_bytes(content)
    store.put(key, folder / "source", sha256=sha256_of(content), content_type="text/plain")


def test_waits_grow_to_a_bound(tmp_path: Path, waits: _Waits) -> None:
    """Each wait is twice the one before, up to the longest; then it succeeds."""
    store = _flaky(tmp_path, waits, 6, tries=9, first=1, longest=8, total=100)
    _put(store, tmp_path, "a", b"x")
    assert waits == [1, 2, 4, 8, 8, 8]


def test_jitter_spreads_the_waits(tmp_path: Path, waits: _Waits) -> None:
    """Callers wait different times, but never less than half: they would hammer a sick server."""
    shares = iter([0.0, 0.5, 1.0])
    store = _flaky(tmp_path, waits, 3, first=1, longest=1, jitter=lambda: next(shares))
    assert not store.exists("a")
    assert waits == [0.5, 0.75, 1.0]


@pytest.mark.parametrize("bound", [{"tries": 4}, {"total": 7.0}])
def test_it_gives_up(tmp_path: Path, waits: _Waits, bound: dict[str, Any]) -> None:
    """After so many tries, or so much time, the last error is raised."""
    store = _flaky(tmp_path, waits, 99, **{"tries": 50, "total": 100.0, "first": 1, **bound})
    with pytest.raises(StoreUnavailableError):
        store.head("a")
    assert len(waits) == {"tries": 3, "total": 4}[next(iter(bound))]


def test_what_cannot_pass_is_not_repeated(tmp_path: Path, waits: _Waits) -> None:
    """A refusal is raised at once."""
    with pytest.raises(StoreError):
        _flaky(tmp_path, waits, 0).head("../outside")
    assert not waits


def test_a_stream_goes_on_where_it_broke_off(tmp_path: Path, waits: _Waits) -> None:
    """A content that breaks off after each block still comes whole and in order."""
    content = bytes(range(256)) * 20_000
    _put(LocalStore(tmp_path / "clips"), tmp_path, "a", content)
    assert b"".join(_flaky(tmp_path, waits, 4).read("a")) == content
    assert len(waits) == 4


def test_a_listing_goes_on_where_it_broke_off(tmp_path: Path, waits: _Waits) -> None:
    """A listing that breaks off names each object once."""
    for key in "abcdef":
        _put(LocalStore(tmp_path / "clips"), tmp_path, key, key.encode())
    assert [each.key for each in _flaky(tmp_path, waits, 4).list("")] == list("abcdef")
