"""Errors of S3 as sentences, without the signature that some answers repeat."""

from __future__ import annotations

import re
from typing import Final, cast

from asset_pipeline.stores.protocol import (
    ObjectNotFoundError,
    StoreError,
    StoreRefusedError,
    StoreUnavailableError,
)

_STATUS: Final = re.compile(r"status code: (\d{3})")
_CODE: Final = re.compile(r"<Code>([\w.]{1,80})</Code>")
_MESSAGE: Final = re.compile(r"<Message>([^<]{1,300})</Message>")

_BUSY: Final = frozenset({408, 409, 425, 429, 500, 502, 503, 504})

# Refused because it arrived otherwise than it was sent: another try may arrive whole.
_DAMAGED: Final = frozenset(
    {
        "BadDigest",
        "IncompleteBody",
        "InvalidDigest",
        "RequestTimeout",
        "XAmzContentChecksumMismatch",
        "XAmzContentSHA256Mismatch",
    }
)

# No object at all is taken until somebody does something about it, whichever status comes with it.
_REFUSING: Final = frozenset(
    {
        "AccessDenied",
        "AccountProblem",
        "AllAccessDisabled",
        "AuthorizationHeaderMalformed",
        "ExpiredToken",
        "InvalidAccessKeyId",
        "InvalidBucketState",
        "InvalidToken",
        "MethodNotAllowed",
        "NoSuchBucket",
        "NotImplemented",
        "PermanentRedirect",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
    }
)
_REFUSING_STATUS: Final = frozenset({301, 307, 401, 403, 405, 501, 507})

_REGION: Final = "Set AWS_REGION to the bucket's region."

_HINTS: Final = {
    "AccessDenied": "Allow these credentials s3:GetObject, PutObject, DeleteObject and ListBucket.",
    "AuthorizationHeaderMalformed": _REGION,
    "PermanentRedirect": _REGION,
    "ExpiredToken": "The session has expired: sign in again.",
    "InvalidAccessKeyId": "Check AWS_ACCESS_KEY_ID or AWS_PROFILE.",
    "NoSuchBucket": "Create the bucket, or correct ASSET_PIPELINE_STORE_URL.",
    "RequestTimeTooSkewed": "Set this machine's clock.",
    "SignatureDoesNotMatch": "Check AWS_SECRET_ACCESS_KEY or AWS_PROFILE.",
}

_CREDENTIALS: Final = (
    "Give credentials as to the AWS command line: a role, AWS_PROFILE, or AWS_ACCESS_KEY_ID with "
    "AWS_SECRET_ACCESS_KEY."
)


class AlreadyThereError(Exception):
    """An object has the key already."""


def from_obstore(error: Exception, doing: str, uri: str) -> StoreError:
    """Return the error to raise for one of obstore's."""
    if isinstance(error.__cause__, StoreError):
        return error.__cause__
    answer = str(error).partition("\n\nDebug source")[0]
    status = _STATUS.search(answer)
    code, message = _CODE.search(answer), _MESSAGE.search(answer)
    if status is None and "HTTP error" not in answer and "Error performing" not in answer:
        return StoreRefusedError(f"Could not {doing} {uri}: {answer[:300]}.", hint=_CREDENTIALS)
    return from_answer(
        int(status[1]) if status else None,
        code[1] if code else "",
        message[1] if message else "",
        doing,
        uri,
    )


def from_botocore(error: Exception, doing: str, uri: str) -> StoreError:
    """Return the error to raise for an error of botocore's."""
    from botocore.exceptions import (  # noqa: PLC0415 -- a quarter of a second, for S3 alone
        ClientError,
        HTTPClientError,
        NoCredentialsError,
    )

    if isinstance(error, ClientError):
        answer = cast("dict[str, str]", error.response.get("Error", {}))
        code, message = answer.get("Code", ""), answer.get("Message", "")
        return from_answer(status_of(error), code, message, doing, uri)
    if isinstance(error, HTTPClientError):
        return from_answer(None, "", "", doing, uri)
    if isinstance(error, NoCredentialsError):
        return no_credentials()
    # Such as a credential process that failed, or an unknown profile: its own words are the best.
    return StoreRefusedError(f"Could not {doing} {uri}: {str(error)[:300]}.", hint=_CREDENTIALS)


def status_of(error: Exception) -> int | None:
    """Return the HTTP status in an error of botocore's; None when it is no answer."""
    response = cast("dict[str, dict[str, int]]", getattr(error, "response", None) or {})
    return response.get("ResponseMetadata", {}).get("HTTPStatusCode")


def from_answer(status: int | None, code: str, message: str, doing: str, uri: str) -> StoreError:
    """Return the error to raise for an answer.

    Args:
        status: HTTP status; None when there was no answer.
        code: S3's own, such as ``AccessDenied``; empty if it gave none.
        message: S3's sentence.
        doing: Such as ``store``, for the sentence.
        uri: The object or bucket concerned.
    """
    if status is None:
        return StoreUnavailableError(
            f"Could not {doing} {uri}: the store did not answer.",
            hint="Check the network and AWS_ENDPOINT_URL.",
        )
    said = " ".join(filter(None, [str(status), code, message.rstrip(".")]))
    sentence = f"Could not {doing} {uri}: {said}."
    if status in _BUSY or code in _DAMAGED:
        return StoreUnavailableError(sentence, hint="Run it again when the store is well.")
    if status == 404 and code in {"", "404", "NoSuchKey", "NotFound"}:  # noqa: PLR2004 -- HTTP's
        return ObjectNotFoundError(
            f"{uri} is not there.", hint="Was it deleted, or is ASSET_PIPELINE_STORE_URL another?"
        )
    default = _HINTS["AccessDenied"] if status in {401, 403} else ""
    # Of a key that is disabled or gone, S3 speaks with codes of the key service: KMS.Disabled...
    refuses = code in _REFUSING or code.startswith("KMS.") or status in _REFUSING_STATUS
    kind = StoreRefusedError if refuses else StoreError
    return kind(sentence, hint=_HINTS.get(code, default))


def no_credentials() -> StoreError:
    """Return the error for a machine that has no AWS credentials at all."""
    return StoreRefusedError("There are no AWS credentials.", hint=_CREDENTIALS)
