"""The rules of an S3 bucket, over boto3."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar, cast

from asset_pipeline.stores.address import BucketAddress
from asset_pipeline.stores.bucket_settings import NOTHING_ASKED, BucketSettings
from asset_pipeline.stores.hardening import (
    CORS_METHODS,
    CORS_SECONDS,
    LEFTOVER_DAYS,
    TEMPORARY,
    BucketRule,
    RuleStatus,
    UnsupportedError,
)
from asset_pipeline.stores.s3_access import S3Client
from asset_pipeline.stores.s3_errors import from_botocore, status_of

_BLOCK: Final = (
    "BlockPublicAcls",
    "IgnorePublicAcls",
    "BlockPublicPolicy",
    "RestrictPublicBuckets",
)
_NO_SUCH_CALL: Final = frozenset({405, 501})
_NOT_FOUND: Final = 404

T = TypeVar("T")


class _Bucket:
    """A bucket's settings, each asked for and set by one call."""

    def __init__(self, client: S3Client, address: BucketAddress) -> None:
        self._client = client
        self._address = address

    def get(self, operation: str, key: str) -> Any:  # noqa: ANN401 -- boto3 has no types
        """Return one setting; None when the bucket has none of it."""
        return self._ask(lambda: getattr(self._client, operation)(Bucket=self._address.bucket), key)

    def put(self, operation: str, **setting: object) -> None:
        """Set one setting."""
        self._ask(
            lambda: getattr(self._client, operation)(Bucket=self._address.bucket, **setting), ""
        )

    def _ask(self, call: Callable[[], Any], key: str) -> Any:  # noqa: ANN401 -- boto3 has no types
        try:
            return call().get(key)
        except Exception as error:
            code = cast("Any", getattr(error, "response", {})).get("Error", {}).get("Code", "")
            if status_of(error) in _NO_SUCH_CALL or code in {"NotImplemented", "MethodNotAllowed"}:
                raise UnsupportedError(f"{status_of(error)} {code}") from error
            if status_of(error) == _NOT_FOUND and code != "NoSuchBucket":
                return None
            raise from_botocore(error, "read the settings of", str(self._address)) from error


def s3_rules(
    client: S3Client,
    address: BucketAddress,
    *,
    versioning: bool,
    asked: BucketSettings = NOTHING_ASKED,
) -> Sequence[BucketRule]:
    """Return the rules of an S3 bucket.

    Args:
        client: With the rights of whoever administers the bucket.
        address: The bucket, and the prefix that the rules of leftovers are for.
        versioning: Whether deleted and replaced objects should be kept as versions.
        asked: How new objects are encrypted; the bucket's own default is set to the same.
    """
    bucket = _Bucket(client, address)
    rules = [_public_access(bucket), _owner(bucket), _encryption(bucket, asked)]
    rules += [_leftovers(bucket, address), _cors(bucket)]
    return [*rules, _versioning(bucket)] if versioning else rules


def _public_access(bucket: _Bucket) -> BucketRule:
    wanted = dict.fromkeys(_BLOCK, True)
    return BucketRule(
        "public access",
        lambda: bucket.get("get_public_access_block", "PublicAccessBlockConfiguration") == wanted,
        lambda: bucket.put("put_public_access_block", PublicAccessBlockConfiguration=wanted),
        "Nobody can make anything in the bucket public.",
        "Objects of the bucket can be made public.",
    )


def _owner(bucket: _Bucket) -> BucketRule:
    wanted = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    return BucketRule(
        "access lists",
        lambda: bucket.get("get_bucket_ownership_controls", "OwnershipControls") == wanted,
        lambda: bucket.put("put_bucket_ownership_controls", OwnershipControls=wanted),
        "Access lists are off: the bucket's policy alone decides.",
        "Access lists of single objects can open what the bucket's policy closes.",
    )


def _encryption(bucket: _Bucket, asked: BucketSettings) -> BucketRule:
    default: dict[str, str] = {"SSEAlgorithm": asked.algorithm or "AES256"}
    if asked.kms_key:
        default["KMSMasterKeyID"] = asked.kms_key
    wanted = {"Rules": [{"ApplyServerSideEncryptionByDefault": default}]}

    def holds() -> bool:
        found = bucket.get("get_bucket_encryption", "ServerSideEncryptionConfiguration")
        rules = cast("list[dict[str, Any]]", found["Rules"] if found else [])
        defaults = [rule.get("ApplyServerSideEncryptionByDefault") for rule in rules]
        return default in defaults if asked.algorithm else any(defaults)

    return BucketRule(
        "encryption",
        holds,
        lambda: bucket.put("put_bucket_encryption", ServerSideEncryptionConfiguration=wanted),
        "Objects are encrypted where they lie.",
        "Objects are not encrypted where they lie.",
    )


def _versioning(bucket: _Bucket) -> BucketRule:
    return BucketRule(
        "versioning",
        lambda: bucket.get("get_bucket_versioning", "Status") == "Enabled",
        lambda: bucket.put("put_bucket_versioning", VersioningConfiguration={"Status": "Enabled"}),
        "Deleted objects are kept as versions.",
        "A deleted object is gone for good.",
        RuleStatus.WARN,
    )


def _leftovers(bucket: _Bucket, address: BucketAddress) -> BucketRule:
    ours = {
        f"asset-pipeline uploads {address.prefix}".strip(): {
            "Filter": {"Prefix": address.folder},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": LEFTOVER_DAYS},
        },
        f"asset-pipeline temporary {address.prefix}".strip(): {
            "Filter": {"Prefix": f"{address.folder}{TEMPORARY}"},
            "Expiration": {"Days": LEFTOVER_DAYS},
        },
    }

    def found() -> dict[str, dict[str, Any]]:
        rules: list[dict[str, Any]] = (
            bucket.get("get_bucket_lifecycle_configuration", "Rules") or []
        )
        return {rule.get("ID", ""): rule for rule in rules}

    def holds() -> bool:
        there = found()
        return all(
            name in there
            and there[name].get("Status") == "Enabled"
            and all(there[name].get(part) == value for part, value in rule.items())
            for name, rule in ours.items()
        )

    def set_() -> None:
        # The call replaces all rules of the bucket: those of others are sent along.
        named = [{"ID": name, "Status": "Enabled", **rule} for name, rule in ours.items()]
        kept = [rule for name, rule in found().items() if name not in ours]
        bucket.put(
            "put_bucket_lifecycle_configuration", LifecycleConfiguration={"Rules": [*kept, *named]}
        )

    return BucketRule(
        "leftovers",
        holds,
        set_,
        "Unfinished uploads and temporary files end after a day.",
        "Unfinished uploads and temporary files stay, unseen, and are paid for.",
        RuleStatus.WARN,
    )


def _cors(bucket: _Bucket) -> BucketRule:
    ours = {
        "AllowedMethods": list(CORS_METHODS),
        "AllowedOrigins": ["*"],
        "AllowedHeaders": ["*"],
        "MaxAgeSeconds": CORS_SECONDS,
    }

    def found() -> list[dict[str, Any]]:
        return cast("list[dict[str, Any]]", bucket.get("get_bucket_cors", "CORSRules") or [])

    return BucketRule(
        "cors",
        lambda: any(set(CORS_METHODS) <= set(rule.get("AllowedMethods", [])) for rule in found()),
        lambda: bucket.put("put_bucket_cors", CORSConfiguration={"CORSRules": [*found(), ours]}),
        "Pages such as the gallery may read what a signed link serves.",
        "Pages such as the gallery can't read what a signed link serves.",
        RuleStatus.WARN,
    )
