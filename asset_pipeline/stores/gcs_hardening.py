"""The rules of a bucket in Google Cloud Storage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, cast

from asset_pipeline.stores.address import BucketAddress
from asset_pipeline.stores.gcs_access import TIMEOUT, GcsAccess
from asset_pipeline.stores.gcs_errors import from_google, no_bucket
from asset_pipeline.stores.hardening import (
    CORS_METHODS,
    CORS_SECONDS,
    LEFTOVER_DAYS,
    TEMPORARY,
    BucketRule,
    RuleStatus,
    UnsupportedError,
)
from asset_pipeline.stores.protocol import ObjectNotFoundError

_NO_SUCH_CALL: Final = frozenset({405, 501})


class _Bucket:
    """A bucket's settings, read anew for each question."""

    def __init__(self, access: GcsAccess, address: BucketAddress) -> None:
        self._bucket = access.bucket
        self._address = address

    def read(self) -> Any:  # noqa: ANN401 -- google-cloud-storage has no types
        """Return the bucket as it is now."""
        self._ask(lambda: self._bucket.reload(retry=None, timeout=TIMEOUT))
        return self._bucket

    def change(self, how: Callable[[Any], None]) -> None:
        """Change settings, and send only those that changed."""
        bucket = self.read()
        how(bucket)
        self._ask(lambda: bucket.patch(retry=None, timeout=TIMEOUT))

    def _ask(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:
            # Emulators say so with a 500.
            unknown = "not implemented" in str(error).lower()
            if unknown or getattr(error, "code", None) in _NO_SUCH_CALL:
                raise UnsupportedError("not implemented") from error
            translated = from_google(error, "read the settings of", str(self._address))
            missing = isinstance(translated, ObjectNotFoundError)
            raise (no_bucket(str(self._address)) if missing else translated) from error


def gcs_rules(
    access: GcsAccess, address: BucketAddress, *, versioning: bool
) -> Sequence[BucketRule]:
    """Return the rules of a GCS bucket. Google encrypts all objects, so that needs none.

    Args:
        access: With the rights of whoever administers the bucket.
        address: The bucket, and the prefix that the rules of leftovers are for.
        versioning: Whether deleted and replaced objects should be kept as versions.
    """
    bucket = _Bucket(access, address)
    rules = [_public_access(bucket), _owner(bucket), _leftovers(bucket, address), _cors(bucket)]
    return [*rules, _versioning(bucket)] if versioning else rules


def _public_access(bucket: _Bucket) -> BucketRule:
    def set_(found: Any) -> None:  # noqa: ANN401 -- google-cloud-storage has no types
        found.iam_configuration.public_access_prevention = "enforced"

    return BucketRule(
        "public access",
        lambda: bucket.read().iam_configuration.public_access_prevention == "enforced",
        lambda: bucket.change(set_),
        "Nobody can make anything in the bucket public.",
        "Objects of the bucket can be made public.",
    )


def _owner(bucket: _Bucket) -> BucketRule:
    def set_(found: Any) -> None:  # noqa: ANN401 -- google-cloud-storage has no types
        found.iam_configuration.uniform_bucket_level_access_enabled = True

    return BucketRule(
        "access lists",
        lambda: bool(bucket.read().iam_configuration.uniform_bucket_level_access_enabled),
        lambda: bucket.change(set_),
        "Access lists are off: the bucket's policy alone decides.",
        "Access lists of single objects can open what the bucket's policy closes.",
    )


def _versioning(bucket: _Bucket) -> BucketRule:
    def set_(found: Any) -> None:  # noqa: ANN401 -- google-cloud-storage has no types
        found.versioning_enabled = True

    return BucketRule(
        "versioning",
        lambda: bool(bucket.read().versioning_enabled),
        lambda: bucket.change(set_),
        "Deleted objects are kept as versions.",
        "A deleted object is gone for good, unless the bucket deletes softly.",
        RuleStatus.WARN,
    )


def _leftovers(bucket: _Bucket, address: BucketAddress) -> BucketRule:
    prefix = [f"{address.folder}{TEMPORARY}"]
    ours: list[dict[str, Any]] = [
        {
            "action": {"type": "AbortIncompleteMultipartUpload"},
            "condition": {"age": LEFTOVER_DAYS, "matchesPrefix": [address.folder]},
        },
        {
            "action": {"type": "Delete"},
            "condition": {"age": LEFTOVER_DAYS, "matchesPrefix": prefix},
        },
    ]
    if not address.folder:
        del ours[0]["condition"]["matchesPrefix"]

    def found(of: Any) -> list[dict[str, Any]]:  # noqa: ANN401 -- google-cloud-storage has no types
        return [cast("dict[str, Any]", dict(rule)) for rule in of.lifecycle_rules]

    def set_(of: Any) -> None:  # noqa: ANN401 -- google-cloud-storage has no types
        there = found(of)
        of.lifecycle_rules = [*there, *(rule for rule in ours if rule not in there)]

    def holds() -> bool:
        there = found(bucket.read())
        return all(rule in there for rule in ours)

    return BucketRule(
        "leftovers",
        holds,
        lambda: bucket.change(set_),
        "Unfinished uploads and temporary files end after a day.",
        "Unfinished uploads and temporary files stay, unseen, and are paid for.",
        RuleStatus.WARN,
    )


def _cors(bucket: _Bucket) -> BucketRule:
    ours = {
        "origin": ["*"],
        "method": list(CORS_METHODS),
        "responseHeader": ["Content-Type"],
        "maxAgeSeconds": CORS_SECONDS,
    }

    def set_(found: Any) -> None:  # noqa: ANN401 -- google-cloud-storage has no types
        found.cors = [*found.cors, ours]

    return BucketRule(
        "cors",
        lambda: any(
            set(CORS_METHODS) <= set(entry.get("method", [])) for entry in bucket.read().cors
        ),
        lambda: bucket.change(set_),
        "Pages such as the gallery may read what a signed link serves.",
        "Pages such as the gallery can't read what a signed link serves.",
        RuleStatus.WARN,
    )
