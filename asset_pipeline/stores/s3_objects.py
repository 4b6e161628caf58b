"""One request for one object of S3: by obstore, or by boto3 where a team has headers of its own.

obstore needs a sixth of boto3's CPU. But it sends headers that it does not know without signing
them, and S3 refuses a request with an ``x-amz-`` header that is not signed.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple, Protocol

from asset_pipeline.stores.address import BucketAddress
from asset_pipeline.stores.content import BLOCK
from asset_pipeline.stores.protocol import ObjectNotFoundError
from asset_pipeline.stores.s3_errors import (
    AlreadyThereError,
    from_answer,
    from_botocore,
    from_obstore,
    status_of,
)

if TYPE_CHECKING:
    import obstore.store
    from obstore import Attributes

    from asset_pipeline.stores.s3_access import S3Client

_PAGE = 1000
_TAKEN = frozenset({409, 412})


class Listed(NamedTuple):
    """An object of a listing; the key without the store's prefix."""

    key: str
    bytes: int
    modified: datetime


class S3Objects(Protocol):
    """Requests for single objects, by key. Every method raises :class:`StoreError`."""

    def put(self, key: str, content: bytes, content_type: str) -> None:
        """Create an object by one request.

        Raises:
            AlreadyThereError: There is one.
        """
        ...

    def read(self, key: str) -> Iterator[bytes]:
        """Yield an object's content in chunks of any size."""
        ...

    def head(self, key: str) -> Listed | None:
        """Describe an object; None when there is none, or no bucket."""
        ...

    def list(self, folder: str) -> Iterator[Listed]:
        """Yield the objects below a folder of keys, which ends in a slash or is empty."""
        ...

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is removed already."""
        ...


class ObstoreObjects:
    """By obstore, whose connections and errors these are.

    Args:
        address: The bucket and the prefix, for sentences.
        objects: obstore's store, with the same prefix.
    """

    def __init__(self, address: BucketAddress, objects: obstore.store.S3Store) -> None:
        self._address = address
        self._objects = objects

    def put(self, key: str, content: bytes, content_type: str) -> None:
        """Create an object; see :meth:`S3Objects.put`."""
        import obstore  # noqa: PLC0415 -- for S3 alone
        from obstore.exceptions import AlreadyExistsError, BaseError  # noqa: PLC0415

        attributes: Attributes = {"Content-Type": content_type}
        try:
            obstore.put(
                self._objects,
                key,
                content,
                attributes=attributes,
                mode="create",
                use_multipart=False,
            )
        except AlreadyExistsError as error:
            raise AlreadyThereError from error
        except (BaseError, FileNotFoundError) as error:
            raise from_obstore(error, "store", self._address.uri(key)) from error

    def read(self, key: str) -> Iterator[bytes]:
        """Yield an object's content; see :meth:`S3Objects.read`."""
        import obstore  # noqa: PLC0415 -- for S3 alone
        from obstore.exceptions import BaseError  # noqa: PLC0415

        uri = self._address.uri(key)
        try:
            found = obstore.get(self._objects, key)
            yield from (bytes(chunk) for chunk in found.stream(min_chunk_size=BLOCK))
        except (BaseError, FileNotFoundError) as error:
            raise from_obstore(error, "read", uri) from error
        except (OSError, ValueError) as error:
            # What breaks off in mid-stream comes as one of these, with no status of its own.
            raise from_answer(None, "", "", "read", uri) from error

    def head(self, key: str) -> Listed | None:
        """Describe an object; see :meth:`S3Objects.head`."""
        import obstore  # noqa: PLC0415 -- for S3 alone
        from obstore.exceptions import BaseError  # noqa: PLC0415

        uri = self._address.uri(key)
        try:
            meta = obstore.head(self._objects, key)
        except FileNotFoundError:
            return None
        except BaseError as error:
            raise from_obstore(error, "look up", uri) from error
        return Listed(key, meta["size"], meta["last_modified"])

    def list(self, folder: str) -> Iterator[Listed]:
        """Yield objects; see :meth:`S3Objects.list`."""
        import obstore  # noqa: PLC0415 -- for S3 alone
        from obstore.exceptions import BaseError  # noqa: PLC0415

        try:
            for page in obstore.list(self._objects, folder or None, chunk_size=_PAGE):
                # The prefix is taken off by obstore, which also normalises: odd names are not ours.
                for meta in page:
                    yield Listed(meta["path"], meta["size"], meta["last_modified"])
        except (BaseError, FileNotFoundError) as error:
            raise from_obstore(error, "list", str(self._address)) from error

    def delete(self, key: str) -> None:
        """Remove an object; see :meth:`S3Objects.delete`."""
        import obstore  # noqa: PLC0415 -- for S3 alone
        from obstore.exceptions import BaseError  # noqa: PLC0415

        try:
            obstore.delete(self._objects, key)
        except (BaseError, FileNotFoundError) as error:
            translated = from_obstore(error, "delete", self._address.uri(key))
            if not isinstance(translated, ObjectNotFoundError):
                raise translated from error


class BotoObjects:
    """By boto3, whose client adds and signs the headers.

    Args:
        address: The bucket and the prefix.
        client: Of the bucket, with its headers.
    """

    def __init__(self, address: BucketAddress, client: S3Client) -> None:
        self._address = address
        self._client = client

    def put(self, key: str, content: bytes, content_type: str) -> None:
        """Create an object; see :meth:`S3Objects.put`."""
        try:
            self._client.put_object(
                **self._place(key),
                Body=content,
                ContentType=content_type,
                ChecksumAlgorithm="SHA256",
                IfNoneMatch="*",
            )
        except Exception as error:
            if status_of(error) in _TAKEN:
                raise AlreadyThereError from error
            raise from_botocore(error, "store", self._address.uri(key)) from error

    def read(self, key: str) -> Iterator[bytes]:
        """Yield an object's content; see :meth:`S3Objects.read`."""
        uri = self._address.uri(key)
        try:
            body = self._client.get_object(**self._place(key))["Body"]
            yield from body.iter_chunks(BLOCK)
        except (OSError, ValueError) as error:
            raise from_answer(None, "", "", "read", uri) from error
        except Exception as error:
            raise from_botocore(error, "read", uri) from error

    def head(self, key: str) -> Listed | None:
        """Describe an object; see :meth:`S3Objects.head`."""
        try:
            found = self._client.head_object(**self._place(key))
        except Exception as error:
            translated = from_botocore(error, "look up", self._address.uri(key))
            if isinstance(translated, ObjectNotFoundError):
                return None
            raise translated from error
        return Listed(key, found["ContentLength"], found["LastModified"])

    def list(self, folder: str) -> Iterator[Listed]:
        """Yield objects; see :meth:`S3Objects.list`."""
        prefix = self._address.folder
        pages = self._client.get_paginator("list_objects_v2")
        try:
            for page in pages.paginate(Bucket=self._address.bucket, Prefix=prefix + folder):
                for each in page.get("Contents", []):
                    key = each["Key"].removeprefix(prefix)
                    yield Listed(key, each["Size"], each["LastModified"])
        except Exception as error:
            raise from_botocore(error, "list", str(self._address)) from error

    def delete(self, key: str) -> None:
        """Remove an object; see :meth:`S3Objects.delete`."""
        try:
            self._client.delete_object(**self._place(key))
        except Exception as error:
            translated = from_botocore(error, "delete", self._address.uri(key))
            if not isinstance(translated, ObjectNotFoundError):
                raise translated from error

    def _place(self, key: str) -> dict[str, str]:
        return {"Bucket": self._address.bucket, "Key": self._address.name_of(key)}
