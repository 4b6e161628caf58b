"""Clips in a local folder, one file an object, the key its path."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Generator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from asset_pipeline.files import UnsafePathError, resolve_inside
from asset_pipeline.stores.content import (
    BLOCK,
    check_content_key,
    refuse_other_content,
    write_whole,
)
from asset_pipeline.stores.protocol import (
    LONGEST_LINK,
    LinkMethod,
    ObjectNotFoundError,
    StoredObject,
    StoreError,
    StoreRefusedError,
    StoreUnavailableError,
    check_key,
    check_link_ttl,
    sha256_in,
)
from asset_pipeline.stores.timing import timed

_INCOMING: Final = ".incoming"
_LEFTOVER: Final = re.compile(r"[0-9a-f]{16}\.tmp")

_HINTS: Final = {
    errno.ENOSPC: "The disk is full: free some space and run the command again.",
    errno.EDQUOT: "Your disk quota is used up: free some space and run the command again.",
    errno.EFBIG: "The file is larger than this system allows to write.",
    errno.EACCES: "Make the folder writable for this user, or choose another store.",
    errno.EPERM: "Make the folder writable, on a file system with hard links, or choose another.",
    errno.EROFS: "The file system is mounted read-only: choose another store.",
    errno.ENOTDIR: "A file stands where a folder should be: move it away or choose another store.",
    errno.EEXIST: "A file stands where a folder should be: move it away or choose another store.",
    errno.ESTALE: "Is the network file system still mounted?",
    errno.ENOTCONN: "Is the file system still mounted?",
}

# A network file system that has dropped, or a disk that hiccups: the next try may succeed.
_PASSING: Final = frozenset(
    {
        errno.EAGAIN,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.EIO,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.ENOTCONN,
        errno.ESTALE,
        errno.ETIMEDOUT,
    }
)

# No file at all can be put until somebody does something about it.
_REFUSING: Final = frozenset(
    {
        errno.EACCES,
        errno.EDQUOT,
        errno.EEXIST,
        errno.ENOSPC,
        errno.ENOTDIR,
        errno.EPERM,
        errno.EROFS,
    }
)


class LocalStore:
    """A folder as a store; it is made when the first object is put.

    A file is written to ``.incoming`` in the same folder, synced, and then linked to its key. A
    link fails if the name is taken, so that of two writers one wins and no reader ever sees half
    a file. What a killed writer leaves behind is in ``.incoming`` and is never listed.

    Args:
        root: The folder, absolute or relative to the working folder at this moment.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        self._seen: tuple[int, int] | None = None

    @property
    def root(self) -> Path:
        """The folder, absolute."""
        return self._root

    @property
    def incoming(self) -> Path:
        """The folder of files on their way in, and of what killed writers left of such."""
        return self._root / _INCOMING

    @timed
    def put(self, key: str, source: Path, *, sha256: str, content_type: str) -> StoredObject:  # noqa: ARG002 -- files carry no content type
        """Store a file under a key; see :meth:`Store.put`."""
        check_content_key(key, sha256)
        with self._explained("store", key):
            self._refuse_another_folder()
            target = self._path(key)
            if target.exists() or not self._link(source, sha256, target):
                refuse_other_content(self.read(key), sha256, str(target))
            size = target.stat().st_size
            self._learn_folder()
        return StoredObject(key=key, uri=self.uri(key), bytes=size, sha256=sha256)

    @timed
    def get(self, key: str, target: Path) -> None:
        """Copy an object to a file; see :meth:`Store.get`."""
        write_whole(self.read(key), target)

    def read(self, key: str) -> Iterator[bytes]:
        """Yield an object's content; see :meth:`Store.read`."""
        with self._explained("read", key):
            try:
                reading = self._path(key).open("rb")
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
                raise ObjectNotFoundError(
                    f"{self._root / key} is not there.",
                    hint="Was the store's folder moved or cleaned? Set ASSET_PIPELINE_STORE_URL.",
                ) from error
            with reading:
                self._learn_folder()
                while block := reading.read(BLOCK):
                    yield block

    @timed
    def head(self, key: str) -> StoredObject | None:
        """Describe an object; its SHA-256 is the one its content key names, else None."""
        with self._explained("look up", key):
            try:
                status = self._path(key).stat()
            except (FileNotFoundError, NotADirectoryError):
                return None
            return self._object(key, status) if stat.S_ISREG(status.st_mode) else None

    def exists(self, key: str) -> bool:
        """Tell whether there is an object under the key."""
        return self.head(key) is not None

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """Yield the objects under a prefix in order of their keys; see :meth:`Store.list`."""
        with self._explained("list", prefix):
            yield from self._walk(self._root, "", prefix)

    @timed
    def delete(self, key: str) -> None:
        """Remove an object; see :meth:`Store.delete`."""
        with self._explained("delete", key):
            path = self._path(key)
            if path.is_file():
                path.unlink(missing_ok=True)
                _sync_folder(path.parent)

    def uri(self, key: str) -> str:
        """Return the ``file://`` address of a key."""
        check_key(key)
        return (self._root / key).as_uri()

    def signed_url(
        self,
        key: str,
        *,
        ttl: timedelta = LONGEST_LINK,
        method: LinkMethod = "GET",
        content_type: str | None = None,  # noqa: ARG002 -- files carry no content type
    ) -> str:
        """Return the file's address; a reader of the folder needs no signature."""
        check_link_ttl(ttl)
        if method == "PUT":
            raise StoreError(
                f"There is no link to write {key!r} in a folder with.",
                hint="Links for writing need a bucket: set ASSET_PIPELINE_STORE_URL to one.",
            )
        return self.uri(key)

    def sweep(self, before: datetime) -> int:
        """Remove old files on their way in; see :meth:`Store.sweep`."""
        swept = 0
        with self._explained("sweep", _INCOMING), contextlib.suppress(FileNotFoundError):
            for entry in os.scandir(self.incoming):
                # Written to the end by another process meanwhile: not there, then.
                with contextlib.suppress(FileNotFoundError):
                    is_old = entry.stat(follow_symlinks=False).st_mtime < before.timestamp()
                    if is_old and _LEFTOVER.fullmatch(entry.name):
                        Path(entry.path).unlink()
                        swept += 1
        return swept

    def _learn_folder(self) -> None:
        if self._seen is None:
            status = self._root.stat()
            self._seen = (status.st_dev, status.st_ino)

    def _refuse_another_folder(self) -> None:
        """Refuse to fill the mount point of a disk that was unmounted while this store was open.

        Raises:
            StoreRefusedError: The folder is gone, or another one has its place.
        """
        if self._seen is None:
            return
        try:
            status = self._root.stat()
            found = (status.st_dev, status.st_ino)
        except FileNotFoundError:
            found = None
        if found != self._seen:
            raise StoreRefusedError(
                f"{self._root} was replaced by another folder after it was opened.",
                hint="Is its disk still mounted?",
            )

    def _path(self, key: str) -> Path:
        check_key(key)
        try:
            return resolve_inside(self._root, key)
        except UnsafePathError as error:
            raise StoreError(error.message, hint=error.hint) from error

    def _object(self, key: str, status: os.stat_result) -> StoredObject:
        return StoredObject(
            key=key,
            uri=self.uri(key),
            bytes=status.st_size,
            sha256=sha256_in(key),
            modified=datetime.fromtimestamp(status.st_mtime, UTC),
        )

    def _link(self, source: Path, sha256: str, target: Path) -> bool:
        """Link a copy of ``source`` to its name; False if another writer was first."""
        with self._incoming(source, sha256) as temporary:
            _make_folder(target.parent)
            try:
                os.link(temporary, target)
            except FileExistsError:
                return False
            _sync_folder(target.parent)
            return True

    @contextlib.contextmanager
    def _incoming(self, source: Path, sha256: str) -> Generator[Path]:
        """Copy a file into the store's file system, checked and synced; remove it at the end."""
        folder = self.incoming
        _make_folder(folder)
        temporary = folder / f"{secrets.token_hex(8)}.tmp"
        digest = hashlib.sha256()
        try:
            with source.open("rb") as reading, temporary.open("xb") as writing:
                while block := reading.read(BLOCK):
                    digest.update(block)
                    writing.write(block)
                writing.flush()
                os.fsync(writing.fileno())
            if digest.hexdigest() != sha256:
                raise StoreError(
                    f"{source} does not have the SHA-256 {sha256}; it changed since it was checked."
                )
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)

    def _walk(self, folder: Path, above: str, prefix: str) -> Iterator[StoredObject]:
        try:
            entries = [entry for entry in os.scandir(folder) if not entry.name.startswith(".")]
        except (FileNotFoundError, NotADirectoryError):
            return
        # A folder sorts as its keys do, with the slash: "a-b" comes before "a/b".
        names = {
            f"{entry.name}/" if entry.is_dir(follow_symlinks=False) else entry.name: entry
            for entry in entries
        }
        for name, entry in sorted(names.items()):
            key = above + name
            if name.endswith("/"):
                if key.startswith(prefix) or prefix.startswith(key):
                    yield from self._walk(Path(entry.path), key, prefix)
            elif key.startswith(prefix) and entry.is_file(follow_symlinks=False):
                # Deleted since the folder was read: not there, then.
                with contextlib.suppress(FileNotFoundError):
                    yield self._object(key, entry.stat(follow_symlinks=False))

    @contextlib.contextmanager
    def _explained(self, action: str, key: str) -> Generator[None]:
        """Turn the file system's errors into a sentence."""
        try:
            yield
        except OSError as error:
            hint = _HINTS.get(error.errno or 0, "Check the folder and its file system.")
            raise _kind_of(error)(
                f"Could not {action} {key!r} in {self._root}: {error}.", hint=hint
            ) from error


def _kind_of(error: OSError) -> type[StoreError]:
    if error.errno in _PASSING:
        return StoreUnavailableError
    return StoreRefusedError if error.errno in _REFUSING else StoreError


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, so that a crash cannot lose them once it returns."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder durable, as fsync does for a file's content."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
