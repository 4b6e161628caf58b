"""Clips in a Google Cloud Storage bucket."""

from __future__ import annotations

import base64
import hashlib
import io
import itertools
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, Final

from asset_pipeline.stores.address import BucketAddress, listed_folder
from asset_pipeline.stores.content import (
    PART,
    check_content_key,
    checked_blocks,
    refuse_other_content,
    sliced,
    write_whole,
)
from asset_pipeline.stores.gcs_access import TIMEOUT, GcsAccess
from asset_pipeline.stores.gcs_errors import from_google, no_bucket
from asset_pipeline.stores.protocol import (
    LONGEST_LINK,
    LinkMethod,
    ObjectNotFoundError,
    StoredObject,
    StoreUnavailableError,
    check_link_ttl,
    sha256_in,
)
from asset_pipeline.stores.timing import timed

_PAGE: Final = 1000


class GcsStore:
    """A bucket as a store.

    The server checks what arrives against its MD5, and is asked to create, never to overwrite
    (``ifGenerationMatch=0``).

    Args:
        address: The bucket and the prefix in it.
        access: The bucket, opened.
    """

    def __init__(self, address: BucketAddress, access: GcsAccess) -> None:
        self._address = address
        self._access = access
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
        md5 = hashlib.md5(usedforsecurity=False)
        blocks = checked_blocks(source, sha256, PART)
        first = next(blocks)
        size = 0
        for block in itertools.chain([first], blocks):
            md5.update(block)
            size += len(block)
        opened: BinaryIO = io.BytesIO(first) if size == len(first) else source.open("rb")
        with opened:
            digest = base64.b64encode(md5.digest()).decode()
            if not self._upload(key, opened, size, digest, content_type):
                self._accept_equal(key, sha256)
        self._bucket_seen = True
        return StoredObject(key=key, uri=uri, bytes=size, sha256=sha256)

    @timed
    def get(self, key: str, target: Path) -> None:
        """Copy an object to a file; see :meth:`Store.get`."""
        write_whole(self.read(key), target)

    def read(self, key: str) -> Iterator[bytes]:
        """Yield an object's content; see :meth:`Store.read`."""
        yield from sliced(self._parts(key))

    @timed
    def head(self, key: str) -> StoredObject | None:
        """Describe an object; see :meth:`Store.head`."""
        blob, uri = self._blob(key), self.uri(key)
        try:
            blob.reload(retry=None, timeout=TIMEOUT)
        except Exception as error:
            translated = from_google(error, "look up", uri)
            if isinstance(translated, ObjectNotFoundError):
                self._see_bucket(uri)
                return None
            raise translated from error
        self._bucket_seen = True
        return self._object(key, blob)

    def exists(self, key: str) -> bool:
        """Tell whether there is an object under the key."""
        return self.head(key) is not None

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """Yield the objects under a prefix in order of their keys; see :meth:`Store.list`."""
        if listed_folder(prefix) is None:
            return
        try:
            for blob in self._listing(self._address.folder + prefix, _PAGE):
                key = self._address.key_of(blob.name)
                if key is not None:
                    yield self._object(key, blob)
        except Exception as error:
            translated = from_google(error, "list", str(self._address))
            missing = isinstance(translated, ObjectNotFoundError)
            raise (no_bucket(str(self._address)) if missing else translated) from error

    @timed
    def delete(self, key: str) -> None:
        """Remove an object; see :meth:`Store.delete`."""
        blob, uri = self._blob(key), self.uri(key)
        try:
            blob.delete(retry=None, timeout=TIMEOUT)
        except Exception as error:
            translated = from_google(error, "delete", uri)
            if not isinstance(translated, ObjectNotFoundError):
                raise translated from error
            self._see_bucket(uri)

    def uri(self, key: str) -> str:
        """Return the ``gs://`` address of a key."""
        return self._address.uri(key)

    def signed_url(
        self,
        key: str,
        *,
        ttl: timedelta = LONGEST_LINK,
        method: LinkMethod = "GET",
        content_type: str | None = None,
    ) -> str:
        """Return a V4 link; see :meth:`Store.signed_url`."""
        check_link_ttl(ttl)
        return self._access.signer.sign(self._blob(key), method, ttl, content_type, self.uri(key))

    def sweep(self, before: datetime) -> int:  # noqa: ARG002 -- nothing to remove
        """Do nothing: Google ends unfinished uploads after a week, and nobody can see them."""
        return 0

    def _upload(self, key: str, content: BinaryIO, size: int, md5: str, content_type: str) -> bool:
        """Create an object; False when there is one already."""
        from google.api_core.exceptions import PreconditionFailed  # noqa: PLC0415 -- for GCS alone

        blob, uri = self._blob(key), self.uri(key)
        blob.md5_hash = md5
        try:
            # Up to 8 MiB the library makes it one request, beyond it parts of a session.
            blob.upload_from_file(
                content,
                size=size,
                content_type=content_type,
                if_generation_match=0,
                checksum="crc32c",
                retry=None,
                timeout=TIMEOUT,
            )
        except PreconditionFailed:
            return False
        except Exception as error:
            translated = from_google(error, "store", uri)
            missing = isinstance(translated, ObjectNotFoundError)
            raise (no_bucket(uri) if missing else translated) from error
        if blob.md5_hash != md5:
            # Google refuses this itself. A server that does not has to be told.
            self._take_back(blob)
            raise StoreUnavailableError(f"Could not store {uri} whole: it was damaged on the way.")
        return True

    def _take_back(self, blob: Any) -> None:  # noqa: ANN401 -- google-cloud-storage has no types
        try:
            blob.delete(if_generation_match=blob.generation, retry=None, timeout=TIMEOUT)
        except Exception as error:
            uri = f"gs://{self._address.bucket}/{blob.name}"
            raise from_google(error, "take back the damaged", uri) from error

    def _parts(self, key: str) -> Iterator[bytes]:
        """Yield the content in parts, each by one request; the first tells if it is the only."""
        from google.api_core.exceptions import (  # noqa: PLC0415 -- for GCS alone
            RequestRangeNotSatisfiable,
        )

        blob, uri = self._blob(key), self.uri(key)
        start = 0
        while True:
            try:
                part: bytes = blob.download_as_bytes(
                    start=start, end=start + PART - 1, checksum=None, retry=None, timeout=TIMEOUT
                )
            except RequestRangeNotSatisfiable:
                return  # nothing is left, or the object is empty
            except Exception as error:
                translated = from_google(error, "read", uri)
                if isinstance(translated, ObjectNotFoundError):
                    self._see_bucket(uri)
                raise translated from error
            self._bucket_seen = True
            yield part
            if len(part) < PART:
                return
            start += PART

    def _accept_equal(self, key: str, sha256: str) -> None:
        try:
            refuse_other_content(self.read(key), sha256, self.uri(key))
        except ObjectNotFoundError as error:
            raise StoreUnavailableError(
                f"{self.uri(key)} was there and is not any more.", hint="Another process is at it."
            ) from error

    def _see_bucket(self, uri: str) -> None:
        """Make sure that it is the object that is missing: not every server tells."""
        if self._bucket_seen:
            return
        try:
            next(iter(self._listing(self._address.folder, 1)), None)
        except Exception as error:
            translated = from_google(error, "find the bucket of", uri)
            missing = isinstance(translated, ObjectNotFoundError)
            raise (no_bucket(uri) if missing else translated) from error
        self._bucket_seen = True

    def _listing(self, prefix: str, page: int) -> Any:  # noqa: ANN401 -- google-cloud-storage has no types
        return self._access.client.list_blobs(
            self._access.bucket,
            prefix=prefix or None,
            page_size=page,
            fields="items(name,size,updated),nextPageToken",
            retry=None,
            timeout=TIMEOUT,
        )

    def _blob(self, key: str) -> Any:  # noqa: ANN401 -- google-cloud-storage has no types
        name, key_name = self._address.name_of(key), self._access.asked.kms_key
        return self._access.bucket.blob(name, chunk_size=PART, kms_key_name=key_name or None)

    def _object(self, key: str, blob: Any) -> StoredObject:  # noqa: ANN401 -- as above
        return StoredObject(key, self.uri(key), blob.size, sha256_in(key), blob.updated)
