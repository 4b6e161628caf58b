"""Clips in an S3 bucket."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from asset_pipeline.stores.address import BucketAddress, listed_folder
from asset_pipeline.stores.content import (
    PART,
    check_content_key,
    checked_blocks,
    refuse_other_content,
    sliced,
    write_whole,
)
from asset_pipeline.stores.protocol import (
    LONGEST_LINK,
    LinkMethod,
    ObjectNotFoundError,
    StoredObject,
    StoreRefusedError,
    StoreUnavailableError,
    check_key,
    check_link_ttl,
    sha256_in,
)
from asset_pipeline.stores.s3_access import S3Access
from asset_pipeline.stores.s3_errors import AlreadyThereError, from_botocore
from asset_pipeline.stores.s3_parts import abort_uploads, upload_in_parts
from asset_pipeline.stores.timing import timed


class S3Store:
    """A bucket as a store.

    The server checks what arrives against its SHA-256, and is asked to create, never to overwrite
    (``If-None-Match: *``).

    Args:
        address: The bucket and the prefix in it.
        access: The bucket, opened.
    """

    def __init__(self, address: BucketAddress, access: S3Access) -> None:
        self._address = address
        self._access = access
        self._objects = access.objects
        self._bucket_seen = False

    @property
    def address(self) -> BucketAddress:
        """The bucket and the prefix in it."""
        return self._address

    @timed
    def put(self, key: str, source: Path, *, sha256: str, content_type: str) -> StoredObject:
        """Store a file under a key; see :meth:`Store.put`."""
        uri = self.uri(key)
        check_content_key(key, sha256)
        blocks = checked_blocks(source, sha256, PART)
        first, second = next(blocks), next(blocks, b"")
        try:
            if second:
                parts = itertools.chain([first, second], blocks)
                size = upload_in_parts(self._access.client, self._address, key, parts, content_type)
            else:
                self._objects.put(key, first, content_type)
                size = len(first)
        except AlreadyThereError:
            size = self._accept_equal(key, sha256)
        self._bucket_seen = True
        return StoredObject(key=key, uri=uri, bytes=size, sha256=sha256)

    @timed
    def get(self, key: str, target: Path) -> None:
        """Copy an object to a file; see :meth:`Store.get`."""
        write_whole(self.read(key), target)

    def read(self, key: str) -> Iterator[bytes]:
        """Yield an object's content; see :meth:`Store.read`."""
        check_key(key)
        yield from sliced(self._objects.read(key))

    @timed
    def head(self, key: str) -> StoredObject | None:
        """Describe an object; see :meth:`Store.head`."""
        check_key(key)
        found = self._objects.head(key)
        if found is None:
            self._see_bucket()
            return None
        self._bucket_seen = True
        return self._object(*found)

    def exists(self, key: str) -> bool:
        """Tell whether there is an object under the key."""
        return self.head(key) is not None

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """Yield the objects under a prefix in order of their keys; see :meth:`Store.list`."""
        folder = listed_folder(prefix)
        if folder is None:
            return
        found = [each for each in self._objects.list(folder) if each.key.startswith(prefix)]
        # AWS lists in this order; others, such as SeaweedFS, folder by folder.
        for each in sorted(found):
            if self._address.key_of(self._address.folder + each.key) is not None:
                yield self._object(*each)

    @timed
    def delete(self, key: str) -> None:
        """Remove an object; see :meth:`Store.delete`."""
        check_key(key)
        self._objects.delete(key)

    def uri(self, key: str) -> str:
        """Return the ``s3://`` address of a key."""
        return self._address.uri(key)

    def signed_url(
        self,
        key: str,
        *,
        ttl: timedelta = LONGEST_LINK,
        method: LinkMethod = "GET",
        content_type: str | None = None,
    ) -> str:
        """Return a V4 link; see :meth:`Store.signed_url`.

        One that was signed by temporary credentials ends with them, if they end first.
        """
        check_link_ttl(ttl)
        try:
            return self._access.links.sign(
                method, self._address.name_of(key), int(ttl.total_seconds()), content_type
            )
        except Exception as error:
            raise from_botocore(error, "sign a link to", self.uri(key)) from error

    def sweep(self, before: datetime) -> int:
        """Abort the uploads in parts that were begun before a time."""
        return abort_uploads(self._access.client, self._address, before)

    def _accept_equal(self, key: str, sha256: str) -> int:
        try:
            refuse_other_content(self.read(key), sha256, self.uri(key))
            found = self.head(key)
        except ObjectNotFoundError:
            found = None
        if found is None:
            raise StoreUnavailableError(
                f"{self.uri(key)} was there and is not any more.", hint="Another process is at it."
            )
        return found.bytes

    def _see_bucket(self) -> None:
        """Make sure that it is the object that is missing: a HEAD does not tell."""
        if self._bucket_seen:
            return
        try:
            self._access.client.head_bucket(Bucket=self._address.bucket)
        except Exception as error:
            translated = from_botocore(error, "find the bucket of", str(self._address))
            if isinstance(translated, ObjectNotFoundError):
                raise StoreRefusedError(
                    f"There is no bucket {self._address.bucket}.",
                    hint="Create the bucket, or correct ASSET_PIPELINE_STORE_URL.",
                ) from error
            raise translated from error
        self._bucket_seen = True

    def _object(self, key: str, size: int, modified: datetime) -> StoredObject:
        return StoredObject(key, self.uri(key), size, sha256_in(key), modified)
