"""Where exports go: a folder of a person's, or a bucket. Nothing is written outside of either."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Protocol

from asset_pipeline.custody.scratch import scratch_file
from asset_pipeline.disclosure.addresses import shown_address
from asset_pipeline.errors import AssetPipelineError, ConfigurationError
from asset_pipeline.files import atomic_path, resolve_inside, sha256_of
from asset_pipeline.stores.bucket_settings import NOTHING_ASKED, BucketSettings
from asset_pipeline.stores.factory import open_store
from asset_pipeline.stores.local import LocalStore
from asset_pipeline.stores.protocol import (
    ObjectNotFoundError,
    Store,
    StoreConflictError,
    check_key,
)


class ExportError(AssetPipelineError):
    """A target can't be written to."""


class Target(Protocol):
    """A place that is written to by path. Methods block, and threads may share a target."""

    @property
    def name(self) -> str:
        """The absolute address, as the ledger knows it."""
        ...

    @property
    def bucket(self) -> Store | None:
        """The store behind it, if it is one that signs links."""
        ...

    def uri(self, path: str) -> str:
        """Return the absolute address of a path."""
        ...

    def digest(self, path: str) -> str | None:
        """Return the SHA-256 of what is at a path; None when nothing is."""
        ...

    def write(self, path: str, source: Path, *, sha256: str, content_type: str) -> None:
        """Put a file at a path, whole or not at all, in the place of what is there."""
        ...

    def present(self, paths: Collection[str]) -> frozenset[str]:
        """Return those paths at which there is a file."""
        ...

    def remove(self, path: str) -> None:
        """Remove the file at a path; where there is none, nothing happens."""
        ...


class FolderTarget:
    """A folder. Files are written beside and renamed in, so that any file system will do."""

    def __init__(self, root: Path) -> None:
        self._root = root.expanduser().absolute()

    @property
    def name(self) -> str:
        """The folder's address."""
        return self._root.as_uri()

    @property
    def bucket(self) -> Store | None:
        """None: a folder has nobody that checks a signature."""
        return None

    def uri(self, path: str) -> str:
        """Return the file's address."""
        return self._path(path).as_uri()

    def digest(self, path: str) -> str | None:
        """Read the file and hash it."""
        try:
            return sha256_of(self._path(path))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except IsADirectoryError:
            raise ExportError(
                f"{self._path(path)} is a folder where a file should be.",
                hint="Move it away, or choose another target or template.",
            ) from None

    def write(self, path: str, source: Path, *, sha256: str, content_type: str) -> None:  # noqa: ARG002 -- files carry neither
        """Copy the file beside its name and rename it in."""
        target = self._path(path)
        try:
            with atomic_path(target) as temporary:
                shutil.copyfile(source, temporary)
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            raise ExportError(
                f"{target} can't be made: a folder has its name, or a file that of its folder.",
                hint="Move it away, or choose another target or template.",
            ) from None

    def present(self, paths: Collection[str]) -> frozenset[str]:
        """Look for each file: the folder may hold much else."""
        return frozenset(path for path in paths if self._path(path).is_file())

    def remove(self, path: str) -> None:
        """Unlink the file; folders stay, they may be a person's."""
        self._path(path).unlink(missing_ok=True)

    def _path(self, path: str) -> Path:
        check_key(path)
        return resolve_inside(self._root, path)


class BucketTarget:
    """A bucket, or a prefix of one."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def name(self) -> str:
        """The prefix's address."""
        return self._store.uri("x")[:-2]

    @property
    def bucket(self) -> Store | None:
        """The bucket, which signs links."""
        return self._store

    def uri(self, path: str) -> str:
        """Return the object's address."""
        return self._store.uri(path)

    def digest(self, path: str) -> str | None:
        """Read the object and hash it: its name and its ETag say little about what it holds."""
        digest = hashlib.sha256()
        try:
            for block in self._store.read(path):
                digest.update(block)
        except ObjectNotFoundError:
            return None
        return digest.hexdigest()

    def write(self, path: str, source: Path, *, sha256: str, content_type: str) -> None:
        """Store the object; another one that has its name is removed first."""
        try:
            self._store.put(path, source, sha256=sha256, content_type=content_type)
        except StoreConflictError:
            self._store.delete(path)
            self._store.put(path, source, sha256=sha256, content_type=content_type)

    def present(self, paths: Collection[str]) -> frozenset[str]:
        """List the prefix: a thousand objects a request."""
        return frozenset(paths).intersection(each.key for each in self._store.list(""))

    def remove(self, path: str) -> None:
        """Delete the object."""
        self._store.delete(path)


def open_target(url: str, asked: BucketSettings = NOTHING_ASKED) -> Target:
    """Return the target that ``url`` names: a folder's path, ``s3://`` or ``gs://``.

    Raises:
        ConfigurationError: It is none.
    """
    try:
        store = open_store(url, asked)
    except ConfigurationError as error:
        # What is right for the store is right here; only the place to correct is another.
        raise ConfigurationError(
            f"{shown_address(url)!r} is no place to export to: {error.message}",
            hint="Give a folder, s3://bucket/prefix or gs://bucket/prefix.",
        ) from None
    return FolderTarget(store.root) if isinstance(store, LocalStore) else BucketTarget(store)


def write_text(target: Target, path: str, text: str, *, content_type: str) -> None:
    """Put text at a path, unless it is there already."""
    content = text.encode()
    sha256 = hashlib.sha256(content).hexdigest()
    if target.digest(path) == sha256:
        return
    with scratch_file(Path(tempfile.gettempdir())) as source:
        source.write_bytes(content)
        target.write(path, source, sha256=sha256, content_type=content_type)
