"""Errors of Google Cloud Storage as sentences."""

from __future__ import annotations

from typing import Final

from asset_pipeline.stores.protocol import (
    ObjectNotFoundError,
    StoreError,
    StoreRefusedError,
    StoreUnavailableError,
)

_BUSY: Final = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
# No object at all is taken until somebody does something about it.
_REFUSING: Final = frozenset({401, 403, 405, 501, 507})
_SAID: Final = 200

_CREDENTIALS: Final = (
    "Sign in with `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS."
)
_ROLE: Final = "Give this account the role Storage Object User on the bucket."


def from_google(error: Exception, doing: str, uri: str) -> StoreError:
    """Return the error to raise for an error of Google's libraries."""
    from google.api_core.exceptions import GoogleAPICallError  # noqa: PLC0415 -- for GCS alone
    from google.auth.exceptions import GoogleAuthError, TransportError  # noqa: PLC0415
    from google.cloud.storage.exceptions import DataCorruption  # noqa: PLC0415
    from requests.exceptions import RequestException  # noqa: PLC0415

    if isinstance(error, StoreError):
        return error
    if isinstance(error, DataCorruption):
        return StoreUnavailableError(f"Could not {doing} {uri} whole: it was damaged on the way.")
    if isinstance(error, GoogleAPICallError) and error.code is not None:
        return _from_status(int(error.code), str(error), doing, uri)
    if isinstance(error, (RequestException, TransportError, ConnectionError, TimeoutError)):
        return StoreUnavailableError(
            f"Could not {doing} {uri}: the store did not answer.", hint="Check the network."
        )
    if isinstance(error, GoogleAuthError):
        return StoreRefusedError(
            f"Could not {doing} {uri}: the Google credentials were refused.", hint=_CREDENTIALS
        )
    return StoreError(f"Could not {doing} {uri}: {type(error).__name__}.", hint=_CREDENTIALS)


def _from_status(status: int, message: str, doing: str, uri: str) -> StoreError:
    # The answer begins with the request's URL and may go on for pages.
    said = message.rpartition("prettyPrint=false: ")[2][:_SAID]
    sentence = f"Could not {doing} {uri}: {status} {said}".rstrip(". ") + "."
    if status in _BUSY:
        return StoreUnavailableError(sentence, hint="Run it again when the store is well.")
    if "MD5" in message or "CRC32C" in message.upper():
        return StoreUnavailableError(f"Could not {doing} {uri} whole: it was damaged on the way.")
    if status == 404:  # noqa: PLR2004 -- HTTP's
        if "bucket does not exist" in message:
            return no_bucket(uri)
        return ObjectNotFoundError(
            f"{uri} is not there.", hint="Was it deleted, or is ASSET_PIPELINE_STORE_URL another?"
        )
    if status == 401:  # noqa: PLR2004 -- HTTP's
        return StoreRefusedError(sentence, hint=_CREDENTIALS)
    # A key of the key service that is disabled or gone answers with a 400 of its own.
    refuses = status in _REFUSING or "Cloud KMS" in message
    kind = StoreRefusedError if refuses else StoreError
    return kind(sentence, hint=_ROLE if status == 403 else "")  # noqa: PLR2004 -- HTTP's


def no_bucket(uri: str) -> StoreError:
    """Return the error for a bucket that does not exist."""
    return StoreRefusedError(
        f"There is no bucket for {uri}.",
        hint="Create the bucket, or correct ASSET_PIPELINE_STORE_URL.",
    )
