"""Where in which bucket a store's objects are."""

from __future__ import annotations

import re
from dataclasses import dataclass

from asset_pipeline.disclosure.addresses import shown_address
from asset_pipeline.errors import ConfigurationError
from asset_pipeline.stores.protocol import StoreError, check_key

# What S3 or GCS take.
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]", re.ASCII)


@dataclass(frozen=True, slots=True)
class BucketAddress:
    """A bucket and the prefix under which a store keeps all it has.

    Attributes:
        scheme: ``s3`` or ``gs``.
        bucket: The bucket's name.
        prefix: Parts joined by slashes, without one at the end; empty for the whole bucket.
    """

    scheme: str
    bucket: str
    prefix: str

    def name_of(self, key: str) -> str:
        """Return the object name of a key.

        Raises:
            StoreError: It is no key.
        """
        check_key(key)
        return f"{self.folder}{key}"

    def key_of(self, name: str) -> str | None:
        """Return the key of an object name; None for what a store would never have named so."""
        if not name.startswith(self.folder):
            return None
        key = name[len(self.folder) :]
        return key if _is_key(key) else None

    def uri(self, key: str) -> str:
        """Return the absolute address of a key."""
        return f"{self.scheme}://{self.bucket}/{self.name_of(key)}"

    @property
    def folder(self) -> str:
        """What all object names begin with: the prefix and a slash, or nothing."""
        return f"{self.prefix}/" if self.prefix else ""

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.prefix}".rstrip("/")


def parse_address(scheme: str, rest: str) -> BucketAddress:
    """Read what follows ``s3://`` or ``gs://``.

    Raises:
        ConfigurationError: The bucket or the prefix is none.
    """
    bucket, _, prefix = rest.partition("/")
    prefix = prefix.rstrip("/")
    if not _BUCKET.fullmatch(bucket) or (prefix and not _is_key(prefix)):
        raise ConfigurationError(
            f"{shown_address(f'{scheme}://{rest}')!r:.200} names no bucket and prefix.",
            hint=f"Set ASSET_PIPELINE_STORE_URL to {scheme}://bucket or {scheme}://bucket/prefix, "
            "without a query and in letters, digits and _ = - .",
        )
    return BucketAddress(scheme, bucket, prefix)


def listed_folder(prefix: str) -> str | None:
    """Return the folder of keys, ending in a slash, that covers a key prefix.

    None when no key can begin so: nothing needs to be asked then.
    """
    folder = prefix.rpartition("/")[0]
    if not folder:
        return None if prefix.startswith("/") else ""
    return f"{folder}/" if _is_key(folder) else None


def _is_key(text: str) -> bool:
    try:
        check_key(text)
    except StoreError:
        return False
    return True
