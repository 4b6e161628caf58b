"""Which answers of a bucket pass by themselves, and which stay until somebody does something."""

from __future__ import annotations

import pytest
from google.api_core import exceptions

from asset_pipeline.stores.gcs_errors import from_google
from asset_pipeline.stores.protocol import (
    ObjectNotFoundError,
    StoreError,
    StoreRefusedError,
    StoreUnavailableError,
)
from asset_pipeline.stores.s3_errors import from_answer

REFUSED, BUSY = StoreRefusedError, StoreUnavailableError


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (403, "AccessDenied", REFUSED),
        (403, "", REFUSED),
        (401, "", REFUSED),
        (404, "NoSuchBucket", REFUSED),
        (301, "PermanentRedirect", REFUSED),
        (400, "ExpiredToken", REFUSED),
        (400, "KMS.DisabledException", REFUSED),
        (405, "MethodNotAllowed", REFUSED),
        (403, "RequestTimeTooSkewed", REFUSED),
        (507, "", REFUSED),
        (503, "SlowDown", BUSY),
        (500, "InternalError", BUSY),
        (429, "", BUSY),
        (400, "RequestTimeout", BUSY),
        (400, "BadDigest", BUSY),
        (None, "", BUSY),
        (404, "NoSuchKey", ObjectNotFoundError),
        (400, "EntityTooLarge", StoreError),
        (400, "KeyTooLongError", StoreError),
    ],
)
def test_s3(status: int | None, code: str, kind: type[StoreError]) -> None:
    """One object's trouble is neither: it says nothing about the next one."""
    assert type(from_answer(status, code, "", "store", "s3://clips/a")) is kind


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (403, "no permission", REFUSED),
        (401, "", REFUSED),
        (404, "The specified bucket does not exist.", REFUSED),
        (400, "Permission denied on Cloud KMS key", REFUSED),
        (503, "", BUSY),
        (429, "", BUSY),
        (404, "No such object", ObjectNotFoundError),
        (400, "", StoreError),
    ],
)
def test_gcs(status: int, message: str, kind: type[StoreError]) -> None:
    """The same for Google's answers."""
    answer: Exception = exceptions.from_http_status(status, message)  # pyright: ignore[reportUnknownMemberType] -- untyped in google-api-core
    assert type(from_google(answer, "store", "gs://clips/a")) is kind
