"""How Google Cloud Storage is reached, and what signs its links.

Credentials are application-default ones: a key file, a signed-in person, the machine's own service
account, or a service account that one of these impersonates. STORAGE_EMULATOR_HOST takes none.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, cast

from asset_pipeline.errors import ConfigurationError
from asset_pipeline.stores.address import BucketAddress
from asset_pipeline.stores.bucket_settings import NOTHING_ASKED, BucketSettings
from asset_pipeline.stores.gcs_errors import from_google
from asset_pipeline.stores.protocol import StoreError

# Seconds: to connect, and of silence.
TIMEOUT: Final = (3.0, 20.0)

_SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"


@dataclass(frozen=True, slots=True)
class GcsAccess:
    """A bucket, opened; threads may share it.

    Attributes:
        client: google-cloud-storage's, which has no types.
        bucket: Its bucket; nothing of it was read.
        signer: What signs links.
        asked: What the bucket asks of requests.
    """

    client: Any
    bucket: Any
    signer: Signer
    asked: BucketSettings = NOTHING_ASKED


def open_gcs(address: BucketAddress, asked: BucketSettings = NOTHING_ASKED) -> GcsAccess:
    """Return the access to a bucket; nothing is sent yet.

    Args:
        address: The bucket, and the prefix in it.
        asked: What the bucket asks of requests.

    Raises:
        ConfigurationError: There are no credentials, or they can't be used.
    """
    from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415 -- for GCS alone
    from google.cloud import storage  # noqa: PLC0415 -- half a second

    try:
        client = cast("Any", storage.Client(extra_headers=dict(asked.headers)))
    except (GoogleAuthError, OSError, ValueError) as error:
        raise ConfigurationError(
            f"The Google credentials can't be used: {str(error)[:300]}",
            hint="Sign in with `gcloud auth application-default login`, or set "
            "GOOGLE_APPLICATION_CREDENTIALS to a key file.",
        ) from error
    bucket = client.bucket(address.bucket, user_project=asked.user_project or None)
    return GcsAccess(client, bucket, Signer(asked.user_project), asked)


class Signer:
    """Signs V4 links with the key at hand, or through IAM as the account that this machine has.

    Args:
        user_project: The project that pays for what the links are good for.
    """

    def __init__(self, user_project: str = "") -> None:
        self._user_project = user_project
        self._credentials: Any = None
        self._lock = threading.Lock()

    def sign(
        self,
        blob: Any,  # noqa: ANN401 -- google-cloud-storage has no types
        method: str,
        ttl: timedelta,
        content_type: str | None,
        uri: str,
    ) -> str:
        """Return a link to a blob.

        Raises:
            StoreError: There is nothing to sign with, or IAM refused.
        """
        bound = "content_type" if method == "PUT" else "response_type"
        try:
            link: str = blob.generate_signed_url(
                version="v4",
                expiration=ttl,
                method=method,
                **{bound: content_type},
                query_parameters=self._payer(),
                **self._identity(),
            )
        except Exception as error:
            if "Error calling" in str(error):  # and it has no type of its own
                raise StoreError(
                    f"IAM did not sign a link to {uri}.",
                    hint="Give this account the role Service Account Token Creator on itself, or "
                    "on the account that it impersonates.",
                ) from error
            raise from_google(error, "sign a link to", uri) from error
        return link

    def _payer(self) -> dict[str, str] | None:
        return {"userProject": self._user_project} if self._user_project else None

    def _identity(self) -> dict[str, Any]:
        import google.auth  # noqa: PLC0415 -- for GCS alone
        from google.auth.credentials import Signing  # noqa: PLC0415
        from google.auth.transport.requests import Request  # noqa: PLC0415

        with self._lock:
            if self._credentials is None:
                self._credentials = cast("Any", google.auth.default(scopes=[_SCOPE]))[0]
            found = self._credentials
            if isinstance(found, Signing):
                return {"credentials": found}
            if not found.valid:
                found.refresh(Request())
            email = getattr(found, "service_account_email", None)
            if not email:
                raise StoreError(
                    "A person's own Google credentials can't sign links.",
                    hint="Sign in with `gcloud auth application-default login "
                    "--impersonate-service-account=ACCOUNT`.",
                )
            return {
                "credentials": found,
                "service_account_email": email,
                "access_token": found.token,
            }
