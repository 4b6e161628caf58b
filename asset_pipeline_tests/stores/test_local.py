from __future__ import annotations

import errno
import hashlib
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from asset_pipeline.stores import local
from asset_pipeline.stores.local import LocalStore
from asset_pipeline.stores.protocol import (
    Store,
    StoreError,
    StoreRefusedError,
    StoreUnavailableError,
)
from asset_pipeline_tests.support.store_contract import StoreContract, key_of, sha256_of


class TestLocalStore(StoreContract):
    """A local folder keeps the contract of every store."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        """A store whose folder is not made yet."""
        return LocalStore(tmp_path / "clips")


def _put(store: Store, folder: Path, content: bytes) -> str:
    source = folder / "source"
    source.write_bytes(content)
    key = key_of(content)
    store.put(key, source, sha256=sha256_of(content), content_type="image/webp")
    return key


def _files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_the_key_is_the_path(tmp_path: Path) -> None:
    """A clip lies where its key says, and nothing else is left in the folder."""
    store = LocalStore(tmp_path / "clips")
    key = _put(store, tmp_path, b"content")
    assert _files(tmp_path / "clips") == [key]
    assert store.uri(key) == (tmp_path / "clips" / key).as_uri()


def test_leftovers_are_no_objects(tmp_path: Path) -> None:
    """What a killed writer left, and hidden files, are never listed."""
    store = LocalStore(tmp_path)
    for leftover in (".incoming/0123.tmp", "image/.0123.tmp", ".DS_Store"):
        path = tmp_path / leftover
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"half a fi")
    assert list(store.list("")) == []


def test_sweeping_removes_old_leftovers(tmp_path: Path) -> None:
    """Only files on their way in, by the store's own names, that are older than asked go."""
    incoming = tmp_path / ".incoming"
    incoming.mkdir()
    for name in ("0123456789abcdef.tmp", "fedcba9876543210.tmp", "notes.txt"):
        (incoming / name).write_bytes(b"half a fi")
    for name in ("0123456789abcdef.tmp", "notes.txt"):
        os.utime(incoming / name, (1000, 1000))
    assert LocalStore(tmp_path).sweep(datetime(2020, 1, 1, tzinfo=UTC)) == 1
    assert _files(tmp_path) == [".incoming/fedcba9876543210.tmp", ".incoming/notes.txt"]


def test_a_folder_has_no_links_to_write_with(tmp_path: Path) -> None:
    """A link to a folder is the file's address; one to put with is refused, with what to do."""
    store = LocalStore(tmp_path)
    assert store.signed_url("a/b.txt") == store.uri("a/b.txt")
    with pytest.raises(StoreError, match="ASSET_PIPELINE_STORE_URL"):
        store.signed_url("a/b.txt", method="PUT")


def test_a_killed_writer_leaves_no_half_object(tmp_path: Path) -> None:
    """A writer killed in mid-copy leaves nothing under the key, and the next put succeeds."""
    content = b"x" * (3 << 20)
    source = tmp_path / "source"
    source.write_bytes(content)
    script = f"""
import os, signal
from pathlib import Path
from asset_pipeline.stores import local
os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
local._make_folder = lambda folder: folder.mkdir(parents=True, exist_ok=True)
local.LocalStore(Path({str(tmp_path / "clips")!r})).put(
    {key_of(content)!r}, Path({str(source)!r}), sha256={sha256_of(content)!r}, content_type="")
"""
    killed = subprocess.run([sys.executable, "-c", script], check=False)
    assert killed.returncode == -signal.SIGKILL
    store = LocalStore(tmp_path / "clips")
    assert list(store.list("")) == []
    assert len(_files(tmp_path / "clips")) == 1
    key = _put(store, tmp_path, content)
    assert [each.key for each in store.list("")] == [key]


def test_links_may_not_lead_outside(tmp_path: Path) -> None:
    """A folder in the store that is a link to elsewhere is refused, and not listed."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_bytes(b"secret")
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "image").symlink_to(outside)
    store = LocalStore(tmp_path / "clips")
    with pytest.raises(StoreError):
        store.get("image/secret.txt", tmp_path / "target")
    with pytest.raises(StoreError):
        _put(store, tmp_path, b"content")
    assert list(store.list("")) == []
    assert _files(outside) == ["secret.txt"]


def test_damaged_object(tmp_path: Path) -> None:
    """An object that was changed on the disk is not mistaken for the one to store."""
    store = LocalStore(tmp_path / "clips")
    key = _put(store, tmp_path, b"content")
    (tmp_path / "clips" / key).write_bytes(b"CONTENT")
    with pytest.raises(StoreError, match="other content"):
        _put(store, tmp_path, b"content")


def test_everything_is_synced_before_put_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The content, its name and each new folder's name are synced: a power cut loses none."""
    synced: list[Path] = []
    fsync = os.fsync

    def recorded(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        fsync(descriptor)

    monkeypatch.setattr(local.os, "fsync", recorded)
    root = tmp_path / "clips"
    key = _put(LocalStore(root), tmp_path, b"content")
    folder = (root / key).parent
    assert {tmp_path, root, folder.parent, folder} <= set(synced)
    assert any(path.parent.name == ".incoming" for path in synced)
    assert synced[-1] == folder, "the name comes last"


@pytest.mark.parametrize("standing", ["clips", "clips/image"])
def test_a_file_where_a_folder_should_be(tmp_path: Path, standing: str) -> None:
    """A file in the way is a sentence that says what to do."""
    (tmp_path / standing).parent.mkdir(exist_ok=True)
    (tmp_path / standing).write_bytes(b"")
    with pytest.raises(StoreError, match="move it away"):
        _put(LocalStore(tmp_path / "clips"), tmp_path, b"content")
    assert LocalStore(tmp_path / "clips").head(key_of(b"content")) is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_unwritable_folder(tmp_path: Path) -> None:
    """A folder that this user may not write to is a sentence that says so."""
    root = tmp_path / "clips"
    root.mkdir(mode=0o555)
    with pytest.raises(StoreError, match="writable"):
        _put(LocalStore(root), tmp_path, b"content")


def test_unwritable_file_system(tmp_path: Path) -> None:
    """A place where no one may write, root neither, is a sentence too."""
    with pytest.raises(StoreError, match=r"Could not store .* in /proc/clips"):
        _put(LocalStore(Path("/proc/clips")), tmp_path, b"content")


def test_write_fails_in_mid_copy(tmp_path: Path) -> None:
    """When the system stops a write half-way, nothing is stored and nothing is left behind."""
    source = tmp_path / "source"
    source.write_bytes(b"x" * 300_000)
    store = LocalStore(tmp_path / "clips")
    sha256 = sha256_of(source.read_bytes())
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(StoreError, match="larger than this system allows"):
            store.put("image/x.bin", source, sha256=sha256, content_type="image/webp")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert _files(tmp_path / "clips") == []


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Generator[Path]:
    """A file system of 256 kB, where the machine lets us mount one."""
    mount = tmp_path / "disk"
    mount.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", mount],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip("may not mount a file system here")
    yield mount
    subprocess.run(["umount", mount], check=True)


def test_full_disk(tiny_disk: Path, tmp_path: Path) -> None:
    """A full disk is a sentence; what was stored stays, and space freed can be used at once."""
    store = LocalStore(tiny_disk / "clips")
    kept = _put(store, tmp_path, b"k" * 100_000)
    with pytest.raises(StoreError, match="disk is full"):
        _put(store, tmp_path, b"x" * 200_000)
    assert [each.key for each in store.list("")] == [kept]
    assert _files(tiny_disk / "clips") == [kept]
    store.delete(kept)
    assert _put(store, tmp_path, b"x" * 200_000)


def test_a_disk_that_is_unmounted_meanwhile_is_not_written_beside(tmp_path: Path) -> None:
    """What has seen its folder fills no other one in its place, such as the empty mount point."""
    store, source = LocalStore(tmp_path / "clips"), tmp_path / "source"
    source.write_bytes(b"content")
    sha256 = hashlib.sha256(b"content").hexdigest()
    store.put("a.txt", source, sha256=sha256, content_type="text/plain")
    (tmp_path / "clips").rename(tmp_path / "unmounted")
    for _ in ("no folder", "an empty one"):
        with pytest.raises(StoreRefusedError, match="mounted"):
            store.put("b.txt", source, sha256=sha256, content_type="text/plain")
        (tmp_path / "clips").mkdir(exist_ok=True)
    assert list((tmp_path / "clips").iterdir()) == []
    (tmp_path / "clips").rmdir()
    (tmp_path / "unmounted").rename(tmp_path / "clips")
    store.put("b.txt", source, sha256=sha256, content_type="text/plain")


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EACCES, StoreRefusedError),
        (errno.EROFS, StoreRefusedError),
        (errno.ENOSPC, StoreRefusedError),
        (errno.EIO, StoreUnavailableError),
        (errno.ESTALE, StoreUnavailableError),
        (errno.EFBIG, StoreError),
    ],
)
def test_what_passes_and_what_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[StoreError]
) -> None:
    """A refusal stays until somebody acts; a network file system that dropped comes back."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    store, source = LocalStore(tmp_path / "clips"), tmp_path / "source"
    source.write_bytes(b"content")
    monkeypatch.setattr(os, "link", fail)
    sha256 = hashlib.sha256(b"content").hexdigest()
    with pytest.raises(StoreError) as failed:
        store.put("a.txt", source, sha256=sha256, content_type="text/plain")
    assert type(failed.value) is kind
