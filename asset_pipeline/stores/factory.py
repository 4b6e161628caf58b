"""From a store's URL to the store."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from asset_pipeline.errors import ConfigurationError
from asset_pipeline.stores.address import BucketAddress, parse_address
from asset_pipeline.stores.bucket_settings import NOTHING_ASKED, BucketSettings
from asset_pipeline.stores.local import LocalStore
from asset_pipeline.stores.protocol import Store
from asset_pipeline.stores.retry import RetryingStore


def open_store(url: str, asked: BucketSettings = NOTHING_ASKED) -> Store:
    """Return the store that ``url`` names; nothing is read or written yet.

    Args:
        url: A folder's path (``~`` is the home folder) or ``file://`` URL, ``s3://bucket/prefix``
            or ``gs://bucket/prefix``. Its client library is imported only now, for this kind alone.
        asked: What a bucket asks of requests.

    Raises:
        ConfigurationError: No store of this kind exists, or the settings of its library are wrong.
    """
    scheme, separator, rest = url.partition("://")
    if not url.strip():
        raise ConfigurationError(
            "The store's URL is empty.",
            hint="Set ASSET_PIPELINE_STORE_URL to a folder, s3://bucket/prefix or "
            "gs://bucket/prefix.",
        )
    if not separator:
        return LocalStore(Path(url).expanduser())
    scheme = scheme.lower()
    if scheme == "s3":
        from asset_pipeline.stores.s3 import S3Store  # noqa: PLC0415 -- loads half of AWS
        from asset_pipeline.stores.s3_access import open_s3  # noqa: PLC0415

        address = parse_address("s3", rest)
        return RetryingStore(S3Store(address, open_s3(address, asked)))
    if scheme == "gs":
        from asset_pipeline.stores.gcs import GcsStore  # noqa: PLC0415 -- loads half of Google
        from asset_pipeline.stores.gcs_access import open_gcs  # noqa: PLC0415

        address = parse_address("gs", rest)
        return RetryingStore(GcsStore(address, open_gcs(address, asked)))
    parts = urlsplit(url)
    if scheme == "file" and parts.netloc in {"", "localhost"} and parts.path:
        return LocalStore(Path(unquote(parts.path)))
    raise ConfigurationError(
        f"{scheme}:// is no store that clips can be kept in.",
        hint="Set ASSET_PIPELINE_STORE_URL to a folder, s3://bucket/prefix or gs://bucket/prefix.",
    )


def bucket_of(url: str) -> BucketAddress | None:
    """Return the bucket that a store's URL names; None when it names a folder.

    Raises:
        ConfigurationError: The bucket or the prefix is none.
    """
    scheme, _, rest = url.partition("://")
    return parse_address(scheme.lower(), rest) if scheme.lower() in {"s3", "gs"} else None
