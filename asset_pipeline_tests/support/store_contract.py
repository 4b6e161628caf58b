"""What every store must do. A store's tests subclass :class:`StoreContract` and give the store."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.stores.protocol import (
    ObjectNotFoundError,
    Store,
    StoreConflictError,
    StoreError,
    clip_key,
)

HOSTILE_KEYS = [
    "",
    "/",
    ".",
    "..",
    "/etc/passwd",
    "../outside",
    "image/../../outside",
    "image//x",
    "image/",
    "image/./x",
    "image/.hidden",
    ".incoming/x",
    "image\\..\\x",
    "C:/x",
    "image/x\0.webp",
    "image/x\n",
    "image/%2e%2e/x",
    "image/ä.webp",
    "~/x",
    "image/a b",
    "x" * 201,
    "/".join(["x" * 100] * 6),
]


def sha256_of(content: bytes) -> str:
    """SHA-256 as hex digits."""
    return hashlib.sha256(content).hexdigest()


def key_of(content: bytes) -> str:
    """The content key of a picture."""
    return clip_key(Kind.IMAGE, sha256_of(content), "webp")


class StoreContract:
    """The suite; a subclass overrides ``store``."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        """An empty store."""
        raise NotImplementedError

    def put(self, store: Store, tmp_path: Path, content: bytes, key: str | None = None) -> str:
        """Put content under its content key, or under ``key``."""
        source = tmp_path / "source"
        source.write_bytes(content)
        key = key or key_of(content)
        store.put(key, source, sha256=sha256_of(content), content_type="image/webp")
        return key

    def test_round_trip(self, store: Store, tmp_path: Path) -> None:
        """What is put is described by head and comes back byte for byte."""
        content = bytes(range(256)) * 9000
        source = tmp_path / "source"
        source.write_bytes(content)
        key = key_of(content)
        stored = store.put(key, source, sha256=sha256_of(content), content_type="image/webp")
        assert (stored.key, stored.bytes, stored.sha256) == (key, len(content), sha256_of(content))
        assert stored.uri == store.uri(key)
        assert store.head(key) == stored
        store.get(key, tmp_path / "new" / "target")
        assert (tmp_path / "new" / "target").read_bytes() == content
        assert source.read_bytes() == content, "the source is left as it is"

    def test_get_replaces_the_target_whole(self, store: Store, tmp_path: Path) -> None:
        """An older target file is replaced, not appended to or mixed with."""
        key = self.put(store, tmp_path, b"new")
        (tmp_path / "target").write_bytes(b"much older")
        store.get(key, tmp_path / "target")
        assert (tmp_path / "target").read_bytes() == b"new"

    def test_empty_store(self, store: Store, tmp_path: Path) -> None:
        """Nothing is there before the first put, and asking makes nothing appear."""
        key = key_of(b"x")
        assert store.head(key) is None
        assert list(store.list("")) == []
        store.delete(key)
        with pytest.raises(ObjectNotFoundError):
            store.get(key, tmp_path / "target")
        assert not (tmp_path / "target").exists()

    def test_put_again_is_success(self, store: Store, tmp_path: Path) -> None:
        """An equal object is success: a retried delivery does not fail."""
        assert self.put(store, tmp_path, b"same") == self.put(store, tmp_path, b"same")
        assert len(list(store.list(""))) == 1

    def test_no_overwriting(self, store: Store, tmp_path: Path) -> None:
        """Another object under a taken key is refused and changes nothing."""
        key = self.put(store, tmp_path, b"first", "notes/a.txt")
        with pytest.raises(StoreConflictError):
            self.put(store, tmp_path, b"other", key)
        store.get(key, tmp_path / "target")
        assert (tmp_path / "target").read_bytes() == b"first"

    def test_content_is_checked_on_the_way(self, store: Store, tmp_path: Path) -> None:
        """A source that changed since it was hashed is refused, and nothing is stored."""
        source = tmp_path / "source"
        source.write_bytes(b"changed")
        key = key_of(b"checked")
        with pytest.raises(StoreError, match="SHA-256"):
            store.put(key, source, sha256=sha256_of(b"checked"), content_type="image/webp")
        assert list(store.list("")) == []

    def test_content_keys_tell_the_truth(self, store: Store, tmp_path: Path) -> None:
        """A content key for other content is refused: the name is what head vouches with."""
        with pytest.raises(StoreError):
            self.put(store, tmp_path, b"content", key_of(b"other"))

    def test_list_by_prefix(self, store: Store, tmp_path: Path) -> None:
        """Listing yields exactly the keys with the prefix, wherever it ends, in key order."""
        keys = ["a/b.txt", "a/c/d.txt", "a-b/c.txt", "ab/c.txt", "b.txt"]
        for key in keys:
            self.put(store, tmp_path, key.encode(), key)
        for prefix in ["", "a", "a/", "a/c", "a/c/d.txt", "ab", "x", "a/c/d.txt/", "../", "/"]:
            listed = list(store.list(prefix))
            assert [each.key for each in listed] == sorted(
                key for key in keys if key.startswith(prefix)
            )
            assert all(store.head(each.key) == each for each in listed)

    def test_delete(self, store: Store, tmp_path: Path) -> None:
        """A deleted object is gone, deleting it again is fine, and others stay."""
        gone, kept = self.put(store, tmp_path, b"gone"), self.put(store, tmp_path, b"kept")
        store.delete(gone)
        store.delete(gone)
        assert store.head(gone) is None
        assert [each.key for each in store.list("")] == [kept]

    def test_missing_source(self, store: Store, tmp_path: Path) -> None:
        """A source that is not there is a sentence, not a stack trace of the store's insides."""
        with pytest.raises(StoreError):
            store.put(
                key_of(b"x"), tmp_path / "no", sha256=sha256_of(b"x"), content_type="image/webp"
            )

    def test_read_streams(self, store: Store, tmp_path: Path) -> None:
        """Reading yields the content in order, in blocks of a MiB at the most."""
        content = bytes(range(256)) * 10_000
        key = self.put(store, tmp_path, content)
        blocks = list(store.read(key))
        assert b"".join(blocks) == content
        assert max(map(len, blocks)) <= 1 << 20

    def test_reading_what_is_not_there(self, store: Store) -> None:
        """A missing object is an error of its own, not an empty one."""
        with pytest.raises(ObjectNotFoundError):
            list(store.read(key_of(b"x")))

    def test_an_empty_object(self, store: Store, tmp_path: Path) -> None:
        """An object without content is there, and is empty."""
        key = self.put(store, tmp_path, b"", "notes/empty.txt")
        assert store.exists(key)
        assert b"".join(store.read(key)) == b""
        store.get(key, tmp_path / "target")
        assert (tmp_path / "target").read_bytes() == b""

    def test_exists(self, store: Store, tmp_path: Path) -> None:
        """An object exists from its put until it is deleted; a folder of keys never does."""
        key = key_of(b"x")
        assert not store.exists(key)
        self.put(store, tmp_path, b"x")
        assert store.exists(key)
        assert not store.exists(key.rpartition("/")[0])
        assert not store.exists(f"{key}/below")
        store.delete(key)
        assert not store.exists(key)

    def test_when_it_was_stored(self, store: Store, tmp_path: Path) -> None:
        """Head and list say when an object was stored, in UTC."""
        before = datetime.now(UTC)
        key = self.put(store, tmp_path, b"x")
        for found in [store.head(key), *store.list("")]:
            assert found is not None
            assert found.modified is not None
            assert found.modified.utcoffset() == timedelta(0)
            assert abs(found.modified - before) < timedelta(minutes=2)

    @pytest.mark.parametrize(
        "ttl", [timedelta(0), timedelta(seconds=-1), timedelta(days=7, seconds=1)]
    )
    def test_links_of_no_use(self, store: Store, ttl: timedelta) -> None:
        """A link is good for a second at least and seven days at most."""
        with pytest.raises(StoreError, match="seven days"):
            store.signed_url(key_of(b"x"), ttl=ttl)

    def test_links_name_the_object(self, store: Store, tmp_path: Path) -> None:
        """A link ends in the object's key, before whatever signs it."""
        key = self.put(store, tmp_path, b"x")
        for method in ("GET", "HEAD"):
            link = store.signed_url(key, ttl=timedelta(hours=1), method=method)
            assert urlsplit(link).path.endswith(f"/{key}")

    def test_sweeping_spares_objects(self, store: Store, tmp_path: Path) -> None:
        """Sweeping removes what is half-way in, never an object."""
        key = self.put(store, tmp_path, b"x")
        assert store.sweep(datetime.now(UTC) + timedelta(days=1)) == 0
        assert store.exists(key)

    def test_racing_writers(self, store: Store, tmp_path: Path) -> None:
        """Of writers of one key with different content one wins whole; equal ones all succeed."""
        rivals = [bytes([number]) * 100_000 for number in range(8)]

        for number, rival in enumerate(rivals):
            (tmp_path / f"rival-{number}").write_bytes(rival)

        def put(number: int) -> bool:
            try:
                store.put(
                    "race/one.bin",
                    tmp_path / f"rival-{number}",
                    sha256=sha256_of(rivals[number]),
                    content_type="application/octet-stream",
                )
            except StoreConflictError:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            won = list(pool.map(put, range(8)))
            store.get("race/one.bin", tmp_path / "winner")
            winner = rivals.index((tmp_path / "winner").read_bytes())
            assert [number for number, success in enumerate(won) if success] == [winner]
            assert all(pool.map(put, [winner] * 8))

    @pytest.mark.parametrize("key", HOSTILE_KEYS)
    def test_hostile_keys(self, store: Store, tmp_path: Path, key: str) -> None:
        """A key that could mean something else to a file system or a URL is refused everywhere."""
        source = tmp_path / "source"
        source.write_bytes(b"x")
        attempts = [
            lambda: store.put(key, source, sha256=sha256_of(b"x"), content_type="text/plain"),
            lambda: store.get(key, tmp_path / "target"),
            lambda: list(store.read(key)),
            lambda: store.head(key),
            lambda: store.exists(key),
            lambda: store.signed_url(key),
            lambda: store.delete(key),
            lambda: store.uri(key),
        ]
        for attempt in attempts:
            with pytest.raises(StoreError):
                attempt()

    @settings(
        max_examples=150,
        deadline=None,
        derandomize=True,
        # One suite runs over several stores, each example on a key of its own.
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.differing_executors,
        ],
    )
    @given(key=st.text(st.sampled_from("ab./\\~%:\0\n =-_é") | st.characters(), max_size=40))
    def test_any_key(self, store: Store, tmp_path: Path, key: str) -> None:
        """Any key is either refused, or stored and listed under exactly that key."""
        content = key.encode("utf-8", "surrogatepass")
        try:
            self.put(store, tmp_path, content, key or "/")
        except StoreError:
            return  # had it been stored all the same, the next listing would show it
        assert [each.key for each in store.list("")] == [key]
        store.delete(key)
