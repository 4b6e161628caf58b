"""Large files in parts, by boto3: obstore can't create a file in parts without overwriting."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import datetime

from asset_pipeline.stores.address import BucketAddress
from asset_pipeline.stores.protocol import StoreError
from asset_pipeline.stores.s3_access import Reply, S3Client, pages
from asset_pipeline.stores.s3_errors import AlreadyThereError, from_botocore, status_of


def upload_in_parts(
    client: S3Client,
    address: BucketAddress,
    key: str,
    parts: Iterator[bytes],
    content_type: str,
) -> int:
    """Store parts as one object, whole or not at all; return its length in bytes.

    Each part is checked by the server against its SHA-256. Whatever goes wrong, the parts are
    taken back; those of a killed process are left to :func:`abort_uploads`.

    Raises:
        AlreadyThereError: Another object was there first.
        StoreError: The store failed, or the source did.
    """
    uri = address.uri(key)
    place = {"Bucket": address.bucket, "Key": address.name_of(key)}
    try:
        begun = client.create_multipart_upload(
            **place, ContentType=content_type, ChecksumAlgorithm="SHA256"
        )
        upload = {**place, "UploadId": begun["UploadId"]}
        try:
            return _send(client, upload, parts)
        except BaseException:
            with contextlib.suppress(Exception):
                client.abort_multipart_upload(**upload)
            raise
    except StoreError:
        raise
    except Exception as error:
        if status_of(error) == 412:  # noqa: PLR2004 -- HTTP's Precondition Failed
            raise AlreadyThereError from error
        raise from_botocore(error, "store", uri) from error


def _send(client: S3Client, upload: dict[str, str], parts: Iterator[bytes]) -> int:
    sent: list[dict[str, object]] = []
    size = 0
    for number, part in enumerate(parts, 1):
        reply = client.upload_part(
            **upload, PartNumber=number, Body=part, ChecksumAlgorithm="SHA256"
        )
        checked = {name: reply[name] for name in ("ETag", "ChecksumSHA256")}
        sent.append({"PartNumber": number, **checked})
        size += len(part)
    client.complete_multipart_upload(**upload, MultipartUpload={"Parts": sent}, IfNoneMatch="*")
    return size


def abort_uploads(client: S3Client, address: BucketAddress, before: datetime) -> int:
    """Abort the uploads under the prefix that were begun before a time; return how many.

    Raises:
        StoreError: They can't be listed or aborted.
    """
    aborted = 0
    listing = {"Bucket": address.bucket, "Prefix": address.folder}
    try:
        for page in pages(client, "list_multipart_uploads", **listing):
            found: list[Reply] = page.get("Uploads", [])
            for upload in found:
                if upload["Initiated"] < before and address.key_of(upload["Key"]) is not None:
                    client.abort_multipart_upload(
                        Bucket=address.bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                    )
                    aborted += 1
    except Exception as error:
        raise from_botocore(error, "sweep", str(address)) from error
    return aborted
